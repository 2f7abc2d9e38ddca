;; A loop of known work that never changes, as the products are timed against: shaped like a row of a sparse layer, it asks the same of the core.
;; Memory: 1024 indices of lines (16 bits each) at 0, 1024 values at 4096, and from 16384 on lines of 24 numbers.
(module
  (memory (export "memory") 1)
  ;; `rounds` times, all entries: value · line is added to 24 sums, whose total is the result. 48 operations per entry.
  (func (export "run") (param $rounds i32) (result f32)
    (local $entry i32) (local $line i32) (local $value v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $e v128) (local $f v128)
    (loop $round
      (local.set $entry (i32.const 0))
      (loop $entries
        (local.set $line (i32.mul (i32.load16_u (local.get $entry)) (i32.const 96)))
        (local.set $value (v128.load32_splat offset=4096 (i32.shl (local.get $entry) (i32.const 1))))
        (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $value) (v128.load offset=16384 (local.get $line)))))
        (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $value) (v128.load offset=16400 (local.get $line)))))
        (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $value) (v128.load offset=16416 (local.get $line)))))
        (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $value) (v128.load offset=16432 (local.get $line)))))
        (local.set $e (f32x4.add (local.get $e) (f32x4.mul (local.get $value) (v128.load offset=16448 (local.get $line)))))
        (local.set $f (f32x4.add (local.get $f) (f32x4.mul (local.get $value) (v128.load offset=16464 (local.get $line)))))
        (br_if $entries (i32.lt_u (local.tee $entry (i32.add (local.get $entry) (i32.const 2))) (i32.const 2048))))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.set $a (f32x4.add (f32x4.add (local.get $a) (local.get $b)) (f32x4.add (f32x4.add (local.get $c) (local.get $d)) (f32x4.add (local.get $e) (local.get $f)))))
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $a)) (f32x4.extract_lane 1 (local.get $a)))
      (f32.add (f32x4.extract_lane 2 (local.get $a)) (f32x4.extract_lane 3 (local.get $a))))))
