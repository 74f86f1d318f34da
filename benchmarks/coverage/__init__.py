"""Which of MMPose's shipped configs can be diagnosed: `python -m benchmarks.coverage`."""
