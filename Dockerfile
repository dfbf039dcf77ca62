# The command and the page, on a CPU and without root.
#
#   docker build --tag deblur-vae .
#   docker run --rm --publish 8000:8000 deblur-vae          # the page at localhost:8000
#   docker run --rm --volume "$PWD:/pictures" --user "$(id -u)" deblur-vae \
#       deblur-vae enhance holiday.jpg
#
# TORCH_INDEX is the address of a package index with builds of PyTorch for CPUs alone:
# they are a tenth as large. Without one, PyTorch comes with CUDA, and works as well.

FROM python:3.13-slim-bookworm AS installed
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/venv/bin:$PATH
RUN python -m venv /opt/venv
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --index-url "$TORCH_INDEX" 'torch>=2.6' 'torchvision>=0.21'; fi
WORKDIR /app
COPY settings.ini setup.py MANIFEST.in LICENSE README.md CHANGELOG.md ./
COPY deblur_vae deblur_vae
RUN pip install --only-binary :all: .

FROM installed AS parts
RUN apt-get update && apt-get install --yes --no-install-recommends nodejs npm \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --only-binary :all: '.[onnx]'
COPY nbs nbs
COPY tools tools
RUN python tools/site_parts.py && rm -rf tools/web/node_modules build ./*.egg-info

FROM python:3.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
COPY --from=installed /opt/venv /opt/venv
COPY --from=parts /app /app
USER 10001
WORKDIR /pictures
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", \
  "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/enhance.html')"]
CMD ["python", "/app/tools/site_parts.py", "--serve", "--host", "0.0.0.0"]
