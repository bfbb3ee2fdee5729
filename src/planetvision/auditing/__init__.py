"""Auditing: what a data set is worth, before its scores are believed."""

from planetvision.auditing.auditor import audit, audit_catalog, audit_images
from planetvision.auditing.comparison import compare_with_network, score_frozen_stage

__all__ = ["audit", "audit_catalog", "audit_images", "compare_with_network", "score_frozen_stage"]
