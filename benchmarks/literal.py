"The recipe of the post as it is written there: what the benchmarks measure against."
import random

import torch
from torchvision.transforms import GaussianBlur

from deblur_vae.loss import loss_function


def blur_one_by_one(sharp: torch.Tensor) -> torch.Tensor:
    "Each picture of [B,3,H,W] blurred by a torchvision transform of its own, by turns."
    blurs = [GaussianBlur(random.choice(range(5, 16, 2)), random.uniform(1.5, 3.0))
             for _ in sharp]
    return torch.cat([blur(picture[None]) for blur, picture in zip(blurs, sharp)])


def literal_step(model, optimizer, sharp: torch.Tensor, kl_weight: float) -> float:
    "Blur, forward, loss, backward, update; the loss is read after each step."
    blurred = blur_one_by_one(sharp).to(sharp.device)
    optimizer.zero_grad()
    recon, mu, logvar = model(blurred)
    loss = loss_function(recon, sharp, mu, logvar, kl_weight)
    loss.backward()
    optimizer.step()
    return loss.item()
