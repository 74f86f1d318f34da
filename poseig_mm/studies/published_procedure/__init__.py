"""What does the published procedure do to the numbers of a run?"""
