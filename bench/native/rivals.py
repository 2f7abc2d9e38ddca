"""Native rivals, one thread: PyTorch dense, and SparseLab. A child of run.mjs; a line comes in as JSON, a line goes out as JSON.

{"make": name, "rival": "torch" | "sparselab", "widths": [..], "batch": n, "density": d}  ->  {"nnz": weights}
{"turn": name, "ms": m}  ->  {"times": [milliseconds of each step], "loss": of the last}   steps for m milliseconds, at least one
"""

import json
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")  # both warn of things inside SparseLab
os.environ["OMP_NUM_THREADS"] = "1"  # read by both when they load

try:
    import torch
except ImportError as missing:
    print(json.dumps({"missing": str(missing)}), flush=True)
    sys.exit()
try:
    import sparselab
except ImportError:
    sparselab = None

torch.set_num_threads(1)


def network(rival, widths, density):
    """ReLU between the layers, logits at the end."""
    layers = []
    for features, units in zip(widths, widths[1:]):
        if rival == "torch":
            layer = torch.nn.Linear(features, units)
            torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        else:
            layer = sparselab.SparseLinear(features, units, sparsity=1 - density)
            check(layer)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def check(layer):
    x = torch.rand(3, layer.in_features)
    with torch.no_grad():
        difference = (layer(x) - (x @ layer._csr.to_dense().T + layer.bias)).abs().max().item()
    assert difference < 1e-4, f"sparselab's layer differs from a dense one by {difference}"


def make(rival, widths, batch, density):
    torch.manual_seed(1)
    model = network(rival, widths, density)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x = torch.rand(batch, widths[0])
    classes = torch.arange(batch) % widths[-1]

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), classes)
        loss.backward()
        optimizer.step()
        return loss.item()

    linear = [layer for layer in model if not isinstance(layer, torch.nn.ReLU)]
    return step, sum(layer.nnz if rival == "sparselab" else layer.weight.numel() for layer in linear)


def turn(step, ms):
    times = []
    start = end = time.perf_counter()
    while not times or end - start < ms / 1000:
        begin = end
        loss = step()
        end = time.perf_counter()
        times.append((end - begin) * 1000)
    return {"times": times, "loss": loss}


print(
    json.dumps(
        {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "sparselab": sparselab and sparselab.__version__,
            "instructions": torch.backends.cpu.get_cpu_capability(),
        }
    ),
    flush=True,
)
steps = {}
for line in sys.stdin:
    wish = json.loads(line)
    if "make" in wish:
        name = wish.pop("make")
        steps[name], nnz = make(**wish)
        answer = {"nnz": nnz}
    else:
        answer = turn(steps[wish["turn"]], wish["ms"])
    print(json.dumps(answer), flush=True)
