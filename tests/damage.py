"""Damage to files, drawn from a generator: what campaigns put before a reader."""
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np

VALUES = 0, 1, 127, 128, 255
SIZES = 0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1


def place(data: bytearray, random: np.random.Generator, most: int = 40) -> slice:
    "Some bytes of a file, at least one."
    start = int(random.integers(0, max(len(data), 1)))
    return slice(start, start + int(random.integers(1, most)))


def flip_bits(data: bytearray, random: np.random.Generator) -> None:
    for at in random.integers(0, len(data), random.integers(1, 12)):
        data[at] ^= 1 << int(random.integers(0, 8))


def flip_one_bit(data: bytearray, random: np.random.Generator) -> None:
    data[random.integers(0, len(data))] ^= 1 << int(random.integers(0, 8))


def cut(data: bytearray, random: np.random.Generator) -> None:
    del data[max(1, int(random.integers(0, len(data)))):]


def swap(data: bytearray, random: np.random.Generator) -> None:
    one, other = sorted((place(data, random), place(data, random)),
                        key=lambda part: part.start)
    if one.stop <= other.start: data[one], data[other] = data[other], data[one]


def edit_head(data: bytearray, random: np.random.Generator) -> None:
    for at in random.integers(0, min(64, len(data)), random.integers(1, 5)):
        data[at] = int(random.choice(VALUES))


def put_in(data: bytearray, random: np.random.Generator) -> None:
    at = place(data, random)
    data[at.start:at.start] = random.bytes(at.stop - at.start)


def leave_out(data: bytearray, random: np.random.Generator) -> None:
    del data[place(data, random)]


def level(data: bytearray, random: np.random.Generator) -> None:
    at = place(data, random)
    here = len(data[at])
    data[at] = bytes([int(random.choice([0, 255]))]) * here


def wrong_length(data: bytearray, random: np.random.Generator) -> None:
    "A number of two or four bytes, of either order, becomes one of `SIZES`."
    form = str(random.choice(['>H', '<H', '>I', '<I']))
    at = int(random.integers(0, max(1, min(len(data), 400) - 4)))
    number = int(random.choice(SIZES)) % 2**(8 * struct.calcsize(form))
    data[at:at + struct.calcsize(form)] = struct.pack(form, number)


ANYWHERE = (flip_bits, flip_one_bit, cut, swap, edit_head, put_in, leave_out, level,
            wrong_length)


def damaged(content: bytes, random: np.random.Generator, ways: tuple = ANYWHERE,
            most: int = 3) -> bytes:
    "`content` after one to `most` kinds of damage; never empty, never what it was."
    while True:
        data = bytearray(content)
        for _ in range(random.integers(1, most + 1)):
            ways[random.integers(0, len(ways))](data, random)
            if not data: data += b'\0'
        if data != content: return bytes(data)


# What pictures consist of

def png_parts(data: bytes) -> Iterator[slice]:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at:at + 4])
        yield slice(at, at + 12 + length)
        at += 12 + length


def jpeg_parts(data: bytes) -> Iterator[slice]:
    "Up to the picture itself."
    at = 2
    while at + 4 <= len(data) and data[at] == 0xff and data[at + 1] != 0xda:
        length = int.from_bytes(data[at + 2:at + 4])
        yield slice(at, at + 2 + length)
        at += 2 + length


def webp_parts(data: bytes) -> Iterator[slice]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4:at + 8], 'little')
        yield slice(at, at + 8 + length + length % 2)
        at += 8 + length + length % 2


def tiff_parts(data: bytes) -> Iterator[slice]:
    "The entries of the first directory."
    order = 'little' if data[:2] == b'II' else 'big'
    at = int.from_bytes(data[4:8], order)
    for n in range(int.from_bytes(data[at:at + 2], order)):
        yield slice(at + 2 + 12 * n, at + 14 + 12 * n)


def box_parts(data: bytes) -> Iterator[slice]:
    "Of HEIF and AVIF."
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at:at + 4])
        yield slice(at, at + max(8, length))
        at += max(8, length)


def parts(data: bytes) -> list[slice]:
    for start, of in ((b'\x89PNG', png_parts), (b'\xff\xd8', jpeg_parts),
                      (b'RIFF', webp_parts), (b'II*', tiff_parts), (b'MM', tiff_parts)):
        if data.startswith(start): return list(of(data))
    return list(box_parts(data)) if data[4:8] == b'ftyp' else []


def move_parts(data: bytearray, random: np.random.Generator) -> None:
    "One chunk takes the place of another, or stands there once more."
    found = parts(bytes(data))
    if len(found) < 2: return swap(data, random)
    one, other = sorted(map(int, random.choice(len(found), 2, replace=False)))
    one, other = found[one], found[other]
    first, second = data[one], data[other]
    data[other] = first
    if random.random() < 0.7: data[one] = second


def wrong_part(data: bytearray, random: np.random.Generator) -> None:
    "A chunk says that it is longer or shorter than it is, or has another name."
    found = parts(bytes(data))
    if not found: return wrong_length(data, random)
    at = found[random.integers(0, len(found))].start + int(random.integers(0, 8))
    data[at:at + 1] = bytes([int(random.choice(VALUES))])


def size_fields(data: bytes) -> list[tuple[int, str]]:
    "Where width and height stand, and as what."
    if data.startswith(b'\x89PNG'): return [(16, '>I'), (20, '>I')]
    if data.startswith(b'GIF'): return [(6, '<H'), (8, '<H')]
    if data.startswith(b'BM'): return [(18, '<I'), (22, '<I')]
    if data.startswith(b'\xff\xd8'):
        frames = re.finditer(rb'\xff[\xc0-\xc2]\0', data)
        return [(frame.start() + at, '>H') for frame in frames for at in (5, 7)]
    if data[12:16] == b'VP8X': return [(24, '<H'), (27, '<H')]
    if data.startswith(b'RIFF'): return [(21, '<H'), (26, '<H'), (28, '<H')]
    if data[:2] in (b'II', b'MM'):
        form = '<I' if data[:2] == b'II' else '>I'
        return [(entry.start + 8, form) for entry in tiff_parts(data)]
    return [(at.start() + 8 + n, '>I') for at in re.finditer(b'ispe', data)
            for n in (0, 4)]


def huge_size(data: bytearray, random: np.random.Generator) -> None:
    "A picture that says it is much larger, or nothing at all."
    fields = size_fields(bytes(data)) or [(4, '<I')]
    for n in random.permutation(len(fields))[:random.integers(1, 3)]:
        at, form = fields[n]
        number = int(random.choice(SIZES)) % 2**(8 * struct.calcsize(form))
        if at + struct.calcsize(form) <= len(data):
            struct.pack_into(form, data, at, number)


def sum_chunks(data: bytearray, random: np.random.Generator) -> None:
    "PNG's own checksums are right again, so that the damage gets past them."
    if not data.startswith(b'\x89PNG'): return flip_one_bit(data, random)
    huge_size(data, random) if random.random() < 0.3 else flip_bits(data, random)
    for part in png_parts(bytes(data)):
        if part.stop > len(data): break
        body = bytes(data[part.start + 4:part.stop - 4])
        data[part.stop - 4:part.stop] = struct.pack('>I', zlib.crc32(body))


IN_PICTURES = (*ANYWHERE, move_parts, wrong_part, huge_size, sum_chunks)


# Text

def edit_lines(data: bytearray, random: np.random.Generator) -> None:
    "Lines swapped, doubled, left out, emptied."
    lines = bytes(data).splitlines(keepends=True) or [b'']
    one, other = map(int, random.integers(0, len(lines), 2))
    match random.integers(0, 5):
        case 0: lines[one], lines[other] = lines[other], lines[one]
        case 1: lines.insert(one, lines[other])
        case 2: del lines[one]
        case 3: lines.insert(one, b'\n')
        case 4: lines[one] = lines[one].rstrip() + b' ' + lines[other]
    data[:] = b''.join(lines)


WORDS = [word.encode() for word in (
    'é', 'ﬀ', '٣', '²', '\ufeff', '\u2028', '\x1b[2J', '\0', '\r', '\t', ',', ',,', ';',
    '"', "'", '#', '-', '--1', '1e0', '1.0', '0x1', '+1', 'nan', 'true', 'TRUE', '../',
    'C:\\', '/etc/passwd', '99999999999999999999', '-0', '1' * 400, 'ü' * 300)]
WORDS += [b'\xe9', b'\xff\xfe', b'\xc3', b'\xed\xa0\x80', b'\r\n', b'\x85']


def put_word(data: bytearray, random: np.random.Generator) -> None:
    at = int(random.integers(0, len(data) + 1))
    data[at:at] = WORDS[random.integers(0, len(WORDS))]


def replace_word(data: bytearray, random: np.random.Generator) -> None:
    found = list(re.finditer(rb'[^\s,]+', data))
    if not found: return put_word(data, random)
    at = found[random.integers(0, len(found))]
    data[at.start():at.end()] = WORDS[random.integers(0, len(WORDS))]


def recode(data: bytearray, random: np.random.Generator) -> None:
    "As another program would have kept it."
    text = bytes(data).decode('utf-8', 'replace')
    code = str(random.choice(['utf-16', 'utf-8-sig', 'utf-32', 'latin-1']))
    if random.random() < 0.5: text = text.replace('\n', '\r\n')
    data[:] = text.encode(code, 'replace')


IN_TEXT = (*ANYWHERE[:-1], edit_lines, edit_lines, put_word, put_word, replace_word,
           replace_word, recode)
