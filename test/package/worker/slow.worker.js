await new Promise((resolve) => setTimeout(resolve, 1500));
await import('./trainer.worker.js');
