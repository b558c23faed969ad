"""The tables of models as CloudFormation and Terraform, for those who make their tables with either.

What is written is what `db.tables.create` would make: the same keys, indexes and settings. The text is the same for the
same models, so it can be kept under version control and compared in a test.

Example::

    from dynamorm.export import cloudformation_yaml, terraform

    Path("tables.yaml").write_text(cloudformation_yaml([Payment, Order], table_prefix="prod-"))
    Path("tables.tf").write_text(terraform([Payment, Order], table_prefix="prod-"))
"""

from __future__ import annotations

from .features.tables.cloudformation import cloudformation, cloudformation_json, cloudformation_yaml
from .features.tables.terraform import terraform

__all__ = ["cloudformation", "cloudformation_json", "cloudformation_yaml", "terraform"]
