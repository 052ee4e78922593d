"""Decodes stored objects by the published formats alone, with the system's libraries: nothing of Kiseki."""
import ctypes
import ctypes.util
import os
import subprocess
import tempfile


def _library(name, known):
    return ctypes.CDLL(ctypes.util.find_library(name) or known)


def unzstd(stored, size):
    """One zstd frame that states its content size."""
    library = _library("zstd", "libzstd.so.1")
    library.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    library.ZSTD_decompress.restype = ctypes.c_size_t
    assert library.ZSTD_getFrameContentSize(stored, ctypes.c_size_t(len(stored))) == size
    plain = ctypes.create_string_buffer(size)
    assert library.ZSTD_decompress(plain, ctypes.c_size_t(size), stored, ctypes.c_size_t(len(stored))) == size
    return plain.raw


def unlz4(stored, size):
    """One raw LZ4 block."""
    plain, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            more = stored[at]
            at += 1
            total += more
            if more < 255:
                break
        return total

    while True:
        token = stored[at]
        at += 1
        literals = length(token >> 4)
        plain += stored[at:at + literals]
        at += literals
        if at == len(stored):
            break
        offset = int.from_bytes(stored[at:at + 2], "little")
        at += 2
        count = length(token & 15) + 4
        start = len(plain) - offset
        assert offset > 0 and start >= 0
        while count > 0:  # a match may overlap what it makes
            piece = plain[start:start + count]
            plain += piece
            start += len(piece)
            count -= len(piece)
    assert len(plain) == size
    return bytes(plain)


def unseal(stored, key_file, algorithm, passphrase):
    """K u16 | N u8 | wrapped key | nonce | cipher text | tag: `openssl pkeyutl` unwraps, libcrypto decrypts."""
    wrapped_size, nonce_size = int.from_bytes(stored[:2], "big"), stored[2]
    wrapped, rest = stored[3:3 + wrapped_size], stored[3 + wrapped_size:]
    nonce, text, tag = rest[:nonce_size], rest[nonce_size:-16], rest[-16:]
    with tempfile.NamedTemporaryFile() as file:
        file.write(wrapped)
        file.flush()
        data_key = subprocess.run(
            ["openssl", "pkeyutl", "-decrypt", "-inkey", key_file, "-passin", "env:PASS", "-in", file.name, "-pkeyopt",
             "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256", "-pkeyopt",
             "rsa_oaep_label:6b657973"], check=True, capture_output=True, env={**os.environ, "PASS": passphrase}).stdout
    assert len(data_key) == 32 and nonce_size == 12
    return _open_aead(algorithm, data_key, nonce, text, tag)


def _open_aead(algorithm, key, nonce, text, tag):
    library = _library("crypto", "libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm", "EVP_chacha20_poly1305"):
        getattr(library, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.EVP_CIPHER_CTX_new())
    cipher = {"aes256gcm-rsa": library.EVP_aes_256_gcm, "chacha20-rsa": library.EVP_chacha20_poly1305}[algorithm]()
    plain, count = ctypes.create_string_buffer(len(text) + 16), ctypes.c_int()
    set_tag = 0x11
    assert library.EVP_DecryptInit_ex(context, ctypes.c_void_p(cipher), None, key, nonce) == 1
    assert library.EVP_CIPHER_CTX_ctrl(context, set_tag, 16, tag) == 1
    assert library.EVP_DecryptUpdate(context, plain, ctypes.byref(count), text, len(text)) == 1
    assert library.EVP_DecryptFinal_ex(context, plain, ctypes.byref(count)) == 1, "the tag does not fit"
    library.EVP_CIPHER_CTX_free(context)
    return plain.raw[:len(text)]
