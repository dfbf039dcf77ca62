"`python -m deblur_vae` is the command `deblur-vae`."
import sys

from deblur_vae.cli import main

if __name__ == '__main__': sys.exit(main())
