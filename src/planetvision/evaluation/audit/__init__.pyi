from .added_value import compare_with_network as compare_with_network
from .added_value import score_frozen_stage as score_frozen_stage
from .auditor import audit as audit
from .auditor import audit_catalog as audit_catalog
from .auditor import audit_images as audit_images
