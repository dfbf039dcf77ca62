"Portraits of people who do not exist, drawn from a seed: what other modules need of them."
from .character import ATTRIBUTES
from .dataset import draw_portrait, portraits, write_portraits

__all__ = ['ATTRIBUTES', 'draw_portrait', 'portraits', 'write_portraits']
