"Packaging from `settings.ini`, the one place of names, versions and requirements."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=['='])
config.read(here / 'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
site = cfg['doc_host'] + cfg['doc_baseurl'] if cfg['doc_host'] else ''
links = {'Source': cfg['git_url'], 'Documentation': site}

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    keywords=cfg['keywords'].split(),
    license='Apache-2.0',
    license_files=['LICENSE'],
    project_urls={name: url for name, url in links.items() if url},
    classifiers=['Development Status :: 3 - Alpha',
                 'Intended Audience :: Developers',
                 'Natural Language :: English',
                 'Programming Language :: Python :: 3',
                 'Topic :: Scientific/Engineering :: Image Processing'],
    packages=find_packages(include=['deblur_vae', 'deblur_vae.*']),
    include_package_data=True,
    python_requires='>=' + cfg['min_python'],
    install_requires=cfg['requirements'].split(),
    extras_require={name: cfg[f'{name}_requirements'].split()
                    for name in ('dev', 'onnx', 'ray', 'webdataset')},
    entry_points={'console_scripts': cfg['console_scripts'].split('\n')},
    zip_safe=False,
)
