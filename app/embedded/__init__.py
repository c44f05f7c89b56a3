"""PostgreSQL and Valkey for those who have neither: the programs come with the installation, a folder has the data."""

from app.embedded.binaries import NotEmbeddable
from app.embedded.folder import Busy, DataFolder, FolderError
from app.embedded.postgres import DURABLE, THROWAWAY, EmbeddedPostgres
from app.embedded.process import StartFailed
from app.embedded.services import open_services, signing_keys
from app.embedded.valkey import EmbeddedValkey

__all__ = (
    "DURABLE",
    "THROWAWAY",
    "Busy",
    "DataFolder",
    "EmbeddedPostgres",
    "EmbeddedValkey",
    "FolderError",
    "NotEmbeddable",
    "StartFailed",
    "open_services",
    "signing_keys",
)
