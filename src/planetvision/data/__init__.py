"""From what a user has to what the network is shown: catalog, decoding, splits, loaders."""

from planetvision.data.catalog import Catalog, Label
from planetvision.data.images import ImageArray, ImageSource, describe_source, read_image
from planetvision.data.sources import read_inputs, read_labelled
from planetvision.data.splits import split_catalog

__all__ = [
    "Catalog",
    "ImageArray",
    "ImageSource",
    "Label",
    "describe_source",
    "read_image",
    "read_inputs",
    "read_labelled",
    "split_catalog",
]
