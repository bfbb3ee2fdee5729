"""From what a user has to what the network is shown: catalog, decoding, splits, loaders."""

from planetvision.data.catalog import Catalog, ClassMap, Label
from planetvision.data.decoders import (
    DECODERS,
    DecodedImage,
    DecoderSpec,
    ImageFacts,
    ImageFile,
    list_decoders,
    register_decoder,
)
from planetvision.data.duplicates import (
    DuplicatePair,
    ImageDescriptor,
    describe_image,
    find_duplicates,
    group_catalog,
    group_duplicates,
)
from planetvision.data.images import (
    ImageArray,
    ImageSource,
    decode_image,
    describe_source,
    read_image,
)
from planetvision.data.manifest import hash_source, save_manifest
from planetvision.data.sources import read_inputs, read_labelled
from planetvision.data.splits import split_catalog, split_folds
from planetvision.data.tables import ColumnMap

__all__ = [
    "DECODERS",
    "Catalog",
    "ClassMap",
    "ColumnMap",
    "DecodedImage",
    "DecoderSpec",
    "DuplicatePair",
    "ImageArray",
    "ImageDescriptor",
    "ImageFacts",
    "ImageFile",
    "ImageSource",
    "Label",
    "decode_image",
    "describe_image",
    "describe_source",
    "find_duplicates",
    "group_catalog",
    "group_duplicates",
    "hash_source",
    "list_decoders",
    "read_image",
    "read_inputs",
    "read_labelled",
    "register_decoder",
    "save_manifest",
    "split_catalog",
    "split_folds",
]
