"Portraits of people who do not exist, drawn from a seed, in the layout of CelebA."
from .character import ATTRIBUTES
from .dataset import draw_portrait, portraits, write_portraits

__all__ = ['ATTRIBUTES', 'draw_portrait', 'portraits', 'write_portraits']
