"A blurry picture in, a sharper one out; and how that is learned."
__version__ = "0.2.0"
