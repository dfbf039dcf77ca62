"Puts the best weights of a run into the package as float16: ship_weights.py RUN NAME, e.g. `runs/enhance vae`. The card is written by hand beside it."
import json
import sys
from pathlib import Path

from deblur_vae.checkpoint import read_history
from deblur_vae.enhance import EnhanceVAE
from deblur_vae.model import load_model, save_model

run, name = Path(sys.argv[1]), sys.argv[2]
config = json.loads((run / 'config.json').read_text(encoding='utf-8'))
best = min(read_history(run), key=lambda entry: entry['val_reconstruction'])
model = load_model(run / 'best.safetensors', 'cpu', (EnhanceVAE,)).half()
path = Path(__file__).parents[1] / 'deblur_vae' / 'weights' / f'{name}.safetensors'
save_model(model, path, epochs=best['epoch'] + 1, pictures=config['train_data']['pictures'], fingerprint=config['train_data']['fingerprint'],
           seed=config['seed'], recipe=json.dumps(config['recipe']), licence='CC BY 4.0')
print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, epoch {best['epoch'] + 1}, validation {best['val_psnr_blurred']:.2f} -> {best['val_psnr']:.2f} dB")
