"""MMPose models as differentiable functions from images to coordinates, a file a family of heads."""
