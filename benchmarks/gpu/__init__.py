"""What holds on a GPU, what a person costs there, and where the time goes; torch and numpy are all it needs.

    python -m benchmarks.gpu [--device cuda|cpu] [--small] [--minutes 6] [--only NAME ...] [--out FILE.json]
    python -m benchmarks.gpu --page FILE.json        # a finished run's part of docs/performance.md, nothing measured

Three groups of parts (`--list` names them; `--only` takes parts and groups):

* checks: maps of the card against the CPU's, the fast walk against autograd on three kinds of networks, memory that
  runs out, stacked joints and CUDA graphs against neither, and calls in the inner loop that make the host wait for the
  card;
* speed: seconds a person against the published procedure, Captum and `is_grads_batched` on the same card, beside the
  rate of its matrix products;
* time: joints stacked in one backward pass, with and without a CUDA graph, one pass by itself, and a profile.

A part is ok, failed (the rest goes on; the exit code is 1), or skipped with a reason: what the card or an installed
package lacks, or 'no time left' once `--minutes` are over.  Networks are written out in `nets` with random weights, at
the size of those that people train; `--small` makes all of it tiny, which a CPU does in seconds.

On a lent machine, for which minutes count: nothing is installed and nothing is built.  From the repository's root
there,

    python3 -m benchmarks.gpu --minutes 6 --out $OUT/gpu.json

needs the working tree, torch and numpy; with captum's wheel unpacked on PYTHONPATH its row is measured too.  Run
`--small --device cuda` first (half a minute): it finds what breaks.  Bring `gpu.json` back and write the docs with
`--page`.
"""
