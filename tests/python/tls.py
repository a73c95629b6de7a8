"""Certificates for the tests, made by openssl: an authority of our own, and what it signs.

    authority(folder) ──▶ ca.pem, ca.key ──▶ signed(folder, "server", "DNS:localhost,IP:127.0.0.1") ──▶ server.pem, .key
"""

import subprocess


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def authority(folder, name="ca"):
    """A certificate that signs others; its path."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name} of the tests", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    return folder / f"{name}.pem"


def signed(folder, name, places, by="ca"):
    """A certificate for these places, DNS:… or IP:…, and its key; the paths of both."""
    pem, key, request, extra = (folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
    extra.write_text(f"subjectAltName={places}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
            key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", folder / f"{by}.pem", "-CAkey", folder / f"{by}.key",
            "-CAcreateserial", "-days", "2", "-extfile", extra, "-out", pem)
    return pem, key
