"""Puts the best weights of a run into the package as float16, with a card: ship_weights.py RUN NAME EVALUATION_DIR,
e.g. `runs/enhance vae evaluation`. EVALUATION_DIR is what `deblur-vae evaluate --methods … --out EVALUATION_DIR` left."""
import json
import shlex
import sys
from pathlib import Path

from deblur_vae.checkpoint import read_history
from deblur_vae.enhance import EnhanceVAE
from deblur_vae.evaluate import lay_out, quality_table, read_scores
from deblur_vae.model import load_model, save_model

CARD = """# `{name}`: weights of `EnhanceVAE`

{pictures}

| | |
|:--|:--|
| parameters | {parameters:,}, stored as float16, {megabytes:.1f} MB |
| configuration | `{config}` |
| trained on | {train} photographs of faces, 178×218 (Labeled Faces in the Wild, cropped), fingerprint `{fingerprint}`; squares of {crop} pixels, {steps:,} steps of {batch} |
| degraded | `{degrade}` |
| validated on | {val} photographs of other people |
| machine | {machine}, {hours:.1f} hours in all |
| seed | {seed} |
| versions | {versions} |

To train it again:

```sh
deblur-vae train {arguments}
```

| epoch | learning rate | weight of the KL | training loss | validation loss | blurred, dB | restored, dB |
|--:|--:|--:|--:|--:|--:|--:|
{history}

{quality}

**Made for** sharpening photographs that a lens, or a resize, has blurred by about a Gaussian of effective σ from 1.2 to 2.9 pixels, with noise or JPEG on top; a picture that is sharp already comes back all but unchanged.

**Limits.** It has seen photographs of faces, mostly of public figures, of one size. It does not undo motion blur. Where a picture has no detail it *invents* some: what it shows of a face is plausible and no evidence. It must not be used to identify anybody, or to decide anything about them.

**Licence.** CC BY 4.0.
"""


def command_line(arguments: dict) -> str:
    "The arguments of a run that are not the defaults, as words of the command, with names in place of folders."
    from deblur_vae.cli import build_parser
    defaults = vars(build_parser().parse_args(['train']))
    changed = {name: value for name, value in arguments.items() if defaults.get(name) != value and name not in ('resume', 'device', 'size')}
    changed |= dict(data='FACES', val_data='OTHER_FACES', out=f'runs/{sys.argv[2]}')
    return shlex.join(word for name, value in changed.items()
                      for word in ([f'--{name.replace("_", "-")}'] + ([] if value is True else [f'{value:g}' if isinstance(value, float) else str(value)])))


run, name, evaluation = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
config, history = json.loads((run / 'config.json').read_text(encoding='utf-8')), read_history(run)
best = min(history, key=lambda entry: entry['val_reconstruction'])
model = load_model(run / 'best.safetensors', 'cpu', (EnhanceVAE,)).half()
path = Path(__file__).parents[1] / 'deblur_vae' / 'weights' / f'{name}.safetensors'
save_model(model, path, epoch=best['epoch'] + 1, pictures=config['train_data']['pictures'], fingerprint=config['train_data']['fingerprint'],
           seed=config['seed'], recipe=json.dumps(config['recipe']), licence='CC BY 4.0')

scores, recipe = read_scores(evaluation / 'evaluation.csv'), dict(config['recipe'])
row = '| {epoch} | {lr:.1e} | {kl_weight:g} | {train_loss:.1f} | {val_loss:.1f} | {val_psnr_blurred:.2f} | {val_psnr:.2f} |'
path.with_suffix('.md').write_text(CARD.format(
    name=name, parameters=sum(p.numel() for p in model.parameters()), megabytes=path.stat().st_size / 1e6, config=model.config,
    pictures='Needs nothing but the picture.' if not model.config['blind'] else 'Works on top of the blind Wiener picture, which is made from the same picture, and is averaged with it where the blur is wider than any in training.',
    train=config['train_data']['pictures'], fingerprint=config['train_data']['fingerprint'], crop=recipe['crop'], batch=config['batch_size'],
    steps=len(history) * -(-config['train_data']['pictures'] // config['batch_size']), degrade=recipe['degrade'], val=config['val_data']['pictures'],
    machine=config['how']['machine'], hours=sum(entry['seconds'] for entry in history) / 3600, seed=config['seed'],
    versions=', '.join(f'{k} {v}' for k, v in config['versions'].items()), arguments=command_line(config['arguments']),
    history='\n'.join(row.format(**entry | dict(epoch=entry['epoch'] + 1)) for entry in history),
    quality=lay_out(f'PSNR, dB, on {scores.effective_sigma.shape[1]} photographs of people it has not seen, '
                    'mean and half the 95 % interval', quality_table(scores), markdown=True)), encoding='utf-8')
print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, epoch {best['epoch'] + 1}, validation {best['val_psnr_blurred']:.2f} -> {best['val_psnr']:.2f} dB")
