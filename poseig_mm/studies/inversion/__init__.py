"""Which joint is taken for which, and what pulled it there?"""
