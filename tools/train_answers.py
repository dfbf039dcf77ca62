"""Trains the network of 05_latent that gives many answers, as the package ships it:

    python tools/train_answers.py FACES [FACES ...] --out runs/answers

FACES are folders of sharp faces of 178×218 pixels, or of 89×109: the former are halved.
First the deterministic start, a picture and a scale of doubt for each pixel; then the
latent on top of it. Both go on where they stopped. OUT/answers.safetensors and
OUT/answers.md are what the package ships. Other designs of the latent, to compare:

    python tools/train_answers.py FACES [FACES ...] --design vector
    python tools/train_answers.py FACES [FACES ...] --design directions

And what all trained designs are worth, on 400 faces that they have not seen, into
benchmarks/latent/answers.csv and answers-sigma.csv:

    python tools/train_answers.py --evaluate FACES_VAL"""
import argparse
import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from deblur_vae.data import (gaussian_blur, list_pictures, read_picture, to_8bit,
                             to_tensor)
from deblur_vae.latent import (AnswerNet, Given, LaplaceNet, ResBlock, answer_loss,
                               answers, choice_bound, energy_score, importance_bound,
                               kl_between, laplace_nll, laplace_noise, log_weights)
from deblur_vae.loss import kl_anneal_function
from deblur_vae.model import (load_state, sample_posterior, save_model, save_state,
                              write_beside)
from deblur_vae.results import psnr

SIZE, CROP, TOP, LEFT = (109, 89), (80, 64), 14, 12  # what is cropped is blurred too
TAPS = 27
SIGMAS, NOISE = (2.0, 4.0), (0.01, 0.03)
BATCH, RATE, SQUARES, EVERY = 16, 1e-3, 200.0, 250
HELD, DRAWS, FIXED = 400, 16, (2.0, 2.5, 3.0, 3.5, 4.0)
DESIGNS = {'map': 'z is a map at an eighth of the size, four numbers a place',
           'vector': 'z is six numbers that modulate the decoder everywhere',
           'directions': 'six pictures are added, each times a number (as NPPC)'}


def scene(path: Path) -> Tensor:
    "A face, uint8 [3,109,89]; one of twice the size is averaged."
    x = to_tensor(read_picture(path))
    if x.shape[1:] == (2 * SIZE[0], 2 * SIZE[1]): x = F.avg_pool2d(x[None], 2)[0]
    if x.shape[1:] != SIZE: raise ValueError(f'{path} is neither 178×218 nor 89×109')
    return x.mul(255).round().byte()


def scenes(folders: list[Path]) -> Tensor:
    "All faces of the folders, uint8 [N,3,109,89]."
    paths = [folder / name for folder in folders for name in list_pictures(folder)]
    return torch.stack([scene(path) for path in tqdm(paths, 'read', leave=False)])


def blurred(x: Tensor, sigma: Tensor, noise: Tensor, generator: torch.Generator,
            top: int = TOP, left: int = LEFT) -> tuple[Tensor, Tensor]:
    "Scenes [B,3,109,89] blurred whole, with noise, cropped, 8 bits; the sharp crops."
    y = gaussian_blur(x, torch.full((len(x),), TAPS), sigma)
    y = y + noise.view(-1, 1, 1, 1) * torch.randn(y.shape, generator=generator)
    y, x = (v[..., top:top + CROP[0], left:left + CROP[1]] for v in (y, x))
    form = torch.channels_last
    return to_8bit(y.contiguous(memory_format=form)), x.contiguous(memory_format=form)


def uniform(n: int, ends: tuple[float, float], generator: torch.Generator) -> Tensor:
    "Numbers [n] drawn evenly."
    return ends[0] + (ends[1] - ends[0]) * torch.rand(n, generator=generator)


def batch(faces: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    "Blurry and sharp, drawn at random; half of them mirrored, moved by a pixel."
    x = faces[torch.randint(len(faces), (BATCH,), generator=generator)].float() / 255
    flip = torch.rand(BATCH, generator=generator) < 0.5
    x = torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x)
    sigma, noise = (uniform(BATCH, ends, generator) for ends in (SIGMAS, NOISE))
    move = [int(torch.randint(-1, 2, (), generator=generator)) for _ in range(2)]
    return blurred(x, sigma, noise, generator, TOP + move[0], LEFT + move[1])


def tests(faces: Tensor, sigma: float | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    "The same blurry pictures at each call, 25 at a time; or all with one σ."
    generator = torch.Generator().manual_seed(123)
    sigmas, noise = (uniform(len(faces), ends, generator) for ends in (SIGMAS, NOISE))
    if sigma: sigmas = torch.full_like(sigmas, sigma)
    for x, s, n in zip(faces.split(25), sigmas.split(25), noise.split(25)):
        yield blurred(x.float() / 255, s, n, generator)


class Directions(AnswerNet):
    """The rival after Nehme et al. 2023, *Uncertainty quantification via neural
    posterior principal components*: the mean plus a weighted sum of pictures, a VAE
    with a linear decoder. Its q starts from the least-squares code of the error."""
    def __init__(self, latent_dim: int = 6, width: int = 48,
                 start: tuple[int, ...] = (32, 64, 80)):
        super().__init__(latent_dim, True, width, start)
        self.config.pop('vector')
        del self.modulate, self.after, self.look, self.wider
        d = self.d = latent_dim
        self.trunk.append(ResBlock(width))
        self.head = nn.Conv2d(width, 12 * d + 12, 3, padding=1)
        self.posterior = nn.Sequential(nn.Linear(2 * d, 64), nn.SiLU(),
                                       nn.Linear(64, 2 * d))
        with torch.no_grad():
            self.head.weight[:12 * d] *= 0.1
            self.head.weight[12 * d:] = 0
            self.head.bias.zero_(), self.posterior[2].weight.zero_()
            self.posterior[2].bias[:d], self.posterior[2].bias[d:] = 0, -3

    def pictures(self, given: Given) -> tuple[Tensor, Tensor]: # [B,D,3,H,W], [B,3,H,W]
        "The directions, and what is added to ln b."
        out = F.pixel_shuffle(self.head(given.trunk), 2)
        return out[:, :3 * self.d].unflatten(1, (self.d, 3)), out[:, 3 * self.d:]

    def encode(self, given: Given, x: Tensor) -> tuple[Tensor, Tensor]:
        v = self.pictures(given)[0].flatten(2)
        gram = v @ v.mT
        size = gram.diagonal(dim1=1, dim2=2)
        soft = 1e-4 * size.mean(1)[:, None, None] * torch.eye(self.d)
        error = (x - given.mean).flatten(1)[..., None]
        code = torch.linalg.solve(gram + soft, v @ error)[..., 0].clamp(-8, 8)
        hint = torch.cat([code, size.clamp_min(1e-8).log()], 1)
        change, logvar = self.posterior(hint).chunk(2, 1)
        return (code + change)[..., None, None], logvar.clamp(-8, 2)[..., None, None]

    def decode(self, given: Given, z: Tensor) -> tuple[Tensor, Tensor]:
        v, wider = self.pictures(given)
        change = torch.einsum('bd,bdchw->bchw', z[..., 0, 0], v)
        return given.mean + change, (given.log_scale + wider).clamp(-7, 0)


def network(design: str) -> AnswerNet:
    "A fresh one."
    if design == 'directions': return Directions()
    return AnswerNet(latent_dim=4) if design == 'map' else AnswerNet(6, vector=True)


def start_loss(net: LaplaceNet, y: Tensor, x: Tensor, *_) -> tuple[Tensor, dict]:
    "Laplace likelihood and squared error, a value."
    mean, log_scale, _, _ = net(y)
    nll = laplace_nll(x - mean, log_scale).mean() / x[0].numel()
    mse = (x - mean).square().mean()
    return nll + SQUARES * mse, dict(nll=nll.item() * x[0].numel(), mse=mse.item())


class Training:
    "A network, its moving average, its optimiser and its curve; kept in one file."
    def __init__(self, path: Path, net: nn.Module, steps: int, seed: int):
        self.path, self.steps, self.seed = path, steps, seed
        self.step, self.curve = 0, []
        self.net = net.to(memory_format=torch.channels_last)
        self.mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998))
        some = [p for p in net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(some, RATE, (0.9, 0.99), weight_decay=1e-4,
                                           fused=True)
        if not path.exists(): return
        state = load_state(path)
        self.step, self.curve = state['step'], state['curve']
        for name in ('net', 'mean', 'optimiser'):
            getattr(self, name).load_state_dict(state[name])

    def save(self) -> None:
        "Beside, then renamed."
        state = {name: getattr(self, name).state_dict()
                 for name in ('net', 'mean', 'optimiser')}
        save_state(self.path, state | dict(step=self.step, curve=self.curve))

    def learn(self, loss: Tensor) -> None:
        "One step; the rate rises over 300 steps and falls with half a cosine."
        fall = 0.5 * (1 + math.cos(math.pi * self.step / self.steps)) + 1e-3
        for group in self.optimiser.param_groups:
            group['lr'] = RATE * min(1, (self.step + 1) / 300) * fall
        self.optimiser.zero_grad(), loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if self.step < 300 or norm < 60: self.optimiser.step()
        self.mean.update_parameters(self.net)
        self.step += 1


def train(run: Training, loss_of, faces: Tensor) -> nn.Module: # its moving average
    "All steps that are left. Each step has its own seed, so a stop changes nothing."
    rows = []
    bar = tqdm(total=run.steps, initial=run.step, desc=run.path.stem, mininterval=2)
    with bar:
        while run.step < run.steps:
            generator = torch.Generator().manual_seed(run.step + run.seed)
            weight = kl_anneal_function(run.step, 0, 300)
            loss, parts = loss_of(run.net, *batch(faces, generator), generator, weight)
            run.learn(loss), rows.append(list(parts.values())), bar.update()
            if run.step % EVERY and run.step < run.steps: continue
            run.curve.append([run.step, *np.mean(rows, 0).tolist()])
            bar.write(f'step {run.step}: ' + ', '.join(
                f'{k} {v:.6g}' for k, v in zip(parts, run.curve[-1][1:])))
            rows.clear(), run.save()
    return run.mean.module.eval()


def started(out: Path, steps: int, faces: Tensor) -> dict[str, Tensor]:
    "Weights of the deterministic start, trained if need be."
    torch.manual_seed(0)
    run = Training(out / 'start.pt', LaplaceNet(), steps, 10**6)
    return train(run, start_loss, faces).state_dict()


def latent_run(out: Path, design: str, start: dict, steps: int) -> Training:
    "The latent part on top of a start that stays as it is."
    torch.manual_seed(0)
    net = network(design)
    net.start.load_state_dict(start)
    net.start.requires_grad_(False)
    return Training(out / f'{design}.pt', net, steps, 2 * 10**6)


@torch.no_grad()
def kept(path: Path, design: str) -> AnswerNet:
    "The moving average of a finished or unfinished run."
    net, mean = network(design), load_state(path)['mean']
    net.load_state_dict({name.removeprefix('module.'): value
                         for name, value in mean.items() if name.startswith('module.')})
    return net.eval()


def squares(x: Tensor) -> Tensor: # [...,3,H,W] → [...]
    "Sum of squares of each picture."
    return x.square().sum((-3, -2, -1))


@torch.inference_mode()
def measures(net: AnswerNet, y: Tensor, x: Tensor, generator: torch.Generator) -> dict:
    "What the goals are made of, [B] each; energies with the pixels' own noise."
    given, some = net.given(y), range(DRAWS)
    q, mean, b = net.encode(given, x), given.mean, given.log_scale
    weights = log_weights(net, y, x, DRAWS, generator)
    drawn = [net.decode(given, sample_posterior(*given.prior, generator)) for _ in some]
    pictures, scales = map(torch.stack, zip(*drawn))
    noisy = pictures + laplace_noise(scales, generator)
    alone = mean + laplace_noise(b.expand(DRAWS, *b.shape), generator)
    quality = torch.stack([psnr(p.clamp(0, 1), x) for p in pictures])
    middle, best = pictures.mean(0), net.decode(given, q[0])[0]
    return dict(
        psnr_blurry=psnr(y, x), psnr_start=psnr(mean.clamp(0, 1), x),
        psnr_mean=psnr(middle.clamp(0, 1), x), psnr_sample=quality.mean(0),
        psnr_best=quality.amax(0), nll_start=laplace_nll(x - mean, b),
        nll_elbo=-weights.mean(0), nll_bound=importance_bound(weights),
        kl=kl_between(q, given.prior).flatten(1).sum(1),
        energy_start=energy_score(alone, x), energy=energy_score(noisy, x),
        energy_decoded_start=squares(x - mean).sqrt(),
        energy_decoded=energy_score(pictures, x),
        error_start=squares(x - mean), error_mean=squares(x - middle),
        error_q=squares(x - best), own_start=squares(2**0.5 * b.exp()),
        own=squares(2**0.5 * scales.exp()).mean(0),
        between=squares(pictures - middle).sum(0) / (DRAWS - 1))


def summary(net: AnswerNet, faces: Tensor, sigma: float | None = None) -> dict:
    "Means over all faces, and ratios of sums."
    generator, rows = torch.Generator().manual_seed(5), []
    for y, x in tqdm(tests(faces, sigma), f'σ {sigma or "2 to 4"}', len(faces) // 25,
                     leave=False): rows.append(measures(net, y, x, generator))
    mean = {name: torch.cat([row[name] for row in rows]).mean().item()
            for name in rows[0]}
    parts = ('error_start', 'error_mean', 'error_q', 'own_start', 'own', 'between')
    a, b, q, own_start, own, between = (mean.pop(name) for name in parts)
    return mean | dict(
        ratio_start=(own_start / a)**0.5, ratio=((own + between) / b)**0.5,
        ratio_latent=(between / b)**0.5, explained=1 - q / a,
        rmse_mean=(b / (3 * CROP[0] * CROP[1]))**0.5)


@torch.inference_mode()
def most(net: AnswerNet, faces: Tensor) -> float:
    "What the best of 16 could gain on the mean of a normal posterior, dB: 25 faces."
    generator, found = torch.Generator().manual_seed(6), []
    for y, x in zip(*next(tests(faces))):
        drawn = answers(net, y, 200, generator)
        rest = squares(drawn.mean(0) - x) - squares(drawn - drawn.mean(0)).sum() / 199
        found.append(choice_bound(drawn, max(rest.item(), 0.0), DRAWS))
    return float(np.mean(found))


def write_table(path: Path, rows: list[dict]) -> None:
    "Numbers with four digits after the point."
    file = io.StringIO()
    table = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    table.writeheader()
    for row in rows:
        table.writerow({name: f'{v:.4f}' if isinstance(v, float) else v
                        for name, v in row.items()})
    write_beside(path, file.getvalue().encode())
    print(path, flush=True)


def evaluate(out: Path, folder: Path, tables: Path) -> None:
    "Both tables, of all designs that there are."
    faces = scenes([folder])[:HELD]
    runs = {design: out / f'{design}.pt' for design in DESIGNS
            if (out / f'{design}.pt').exists()}
    nets = {design: kept(path, design) for design, path in runs.items()}
    rows = []
    for design, net in nets.items():
        step = load_state(runs[design])['step']
        rows.append(dict(design=design, steps=step,
                         parameters=sum(p.numel() for p in net.parameters()),
                         **summary(net, faces), most_from_best=most(net, faces)))
    write_table(tables / 'answers.csv', rows)
    rows = [dict(sigma=sigma, **summary(nets['map'], faces, sigma)) for sigma in FIXED]
    write_table(tables / 'answers-sigma.csv', rows)


CARD = '''# `answers`: weights of `AnswerNet`

Many sharp faces for one blurry face; see 05_latent.

| | |
|:--|:--|
| parameters | {count:,}, stored as float16 |
| configuration | `{config}` |
| trained on | {faces} faces of 109×89 pixels (Labeled Faces in the Wild, halved, and \
CelebA at half size, which is for non-commercial research), mirrored at random; \
{start} steps for the start, {steps} for the latent, of {batch} crops of 80×64 |
| degraded | Gaussian blur, σ evenly from 2 to 4 pixels, light from beyond the border; \
noise evenly from 0.01 to 0.03; 256 levels |
| optimiser | AdamW, learning rate {rate} falling with half a cosine, moving \
average of weights |
| loss | Laplace likelihood and {squares:g} times the mean square error; for the \
latent also the KL, its weight rising over 300 steps, 0.05 nats a number for nothing |
| machine | one of two cores that others used too, about 45 minutes |
| versions | torch {torch} |

Command: `python tools/train_answers.py FACES CELEBA`. What it is worth on {held} \
other faces is in `benchmarks/latent/answers.csv` and `answers-sigma.csv`.

Start:

| step | NLL, nats a picture | mean square error |
|--:|--:|--:|
{first}

Latent:

| step | NLL, nats a picture | mean square error | KL, nats a picture |
|--:|--:|--:|--:|
{second}

**Made for** showing what a blur leaves open: aligned faces of about 109×89 pixels, \
with a Gaussian blur of σ 2 to 4 and noise.

**Limits.** Every answer is plausible and none is evidence. It must not be used to \
identify anybody, or to decide anything about them.

**Licence.** CC BY 4.0.
'''


def ship(out: Path, run: Training, faces: int) -> None:
    "The two files of the package."
    curves = [load_state(out / 'start.pt')['curve'], run.curve]
    lines = ['\n'.join(f'| {row[0]:.0f} | {row[1]:.0f} | {row[2]:.6f} |'
                       + ''.join(f' {v:.1f} |' for v in row[3:]) for row in curve)
             for curve in curves]
    net = network('map').half()
    net.load_state_dict(run.mean.module.state_dict())
    save_model(net, out / 'answers.safetensors', steps=run.step)
    text = CARD.format(
        count=sum(p.numel() for p in net.parameters()), config=net.config, faces=faces,
        start=curves[0][-1][0], steps=run.step, batch=BATCH, rate=RATE, squares=SQUARES,
        torch=torch.__version__, held=HELD, first=lines[0], second=lines[1])
    write_beside(out / 'answers.md', text.encode())
    print(out / 'answers.safetensors')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('faces', nargs='*', type=Path, metavar='FACES')
    parser.add_argument('--out', type=Path, default=Path('runs/answers'))
    parser.add_argument('--design', choices=DESIGNS, default='map')
    parser.add_argument('--start-steps', type=int, default=5500)
    parser.add_argument('--steps', type=int, default=2000, help='of the latent part')
    parser.add_argument('--evaluate', type=Path, metavar='FACES_VAL')
    parser.add_argument('--tables', type=Path, default=Path('benchmarks/latent'))
    args = parser.parse_args()
    if not (args.faces or args.evaluate): parser.error('give FACES or --evaluate')
    torch.set_num_threads(1), torch.set_flush_denormal(True)
    if args.faces:
        faces = scenes(args.faces)
        start = started(args.out, args.start_steps, faces)
        run = latent_run(args.out, args.design, start, args.steps)
        train(run, answer_loss, faces)
        if args.design == 'map': ship(args.out, run, len(faces))
    if args.evaluate: evaluate(args.out, args.evaluate, args.tables)


if __name__ == '__main__': main()
