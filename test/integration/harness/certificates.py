"""TLS certificates of a day, made with the openssl program."""

import os
import subprocess
from pathlib import Path


class Certificates:
    """A certificate authority in `folder`, a server certificate for localhost and 127.0.0.1, and a client certificate.

    ca_file        the authority's certificate
    server_file    the server's certificate, server_key its key
    client_pem     the client's certificate and key in one file, as MongoDB's tlsCertificateKeyFile wants it
    other_ca_file  an authority that signed none of them
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = self._authority("ca")
        self.other_ca_file = self._authority("other-ca")
        self.server_file, self.server_key = self._signed("server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        certificate, key = self._signed("client", "client", "extendedKeyUsage=clientAuth")
        self.client_pem = self.folder / "client.pem"
        self.client_pem.write_bytes(certificate.read_bytes() + key.read_bytes())
        for path in self.folder.iterdir():
            path.chmod(0o644)

    def _openssl(self, *arguments):
        env = {**os.environ, "HOME": str(self.folder), "RANDFILE": str(self.folder / ".rnd")}
        done = subprocess.run(["openssl", *(str(argument) for argument in arguments)], capture_output=True, text=True,
                              env=env, cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"openssl failed:\n{done.stderr}")

    def _authority(self, name):
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                      "-subj", f"/CN=mongoferry test {name}", "-keyout", key, "-out", certificate)
        return certificate

    def _signed(self, name, common_name, extension):
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(extension + "\n")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/O=mongoferry test/CN={common_name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-days", "2", "-in", request, "-CA", self.ca_file, "-CAkey", self.folder / "ca.key",
                      "-CAcreateserial", "-extfile", extensions, "-out", certificate)
        return certificate, key
