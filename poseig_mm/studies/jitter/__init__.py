"""Which joints jitter in a video, and where does their evidence move to?"""
