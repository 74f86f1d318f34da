"""May these maps be trusted on this model?"""
