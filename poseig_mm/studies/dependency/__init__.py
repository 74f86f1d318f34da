"""Which joints does the model read off the evidence of another joint?"""
