"""Does the prediction come and go with the map's pixels?"""
