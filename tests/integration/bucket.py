"""A bucket of an S3 server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Bucket:
    """A bucket as its owner sees it; it keeps versions, so that every upload can be counted."""

    name: str
    client: Any = field(repr=False)

    def objects(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def videos(self) -> list[str]:
        """Return the results that lie under the prefix `videos/`."""
        return [key for key in self.objects() if key.startswith("videos/") and key.endswith(".mp4")]

    def uploads(self) -> int:
        return len(self.client.list_object_versions(Bucket=self.name).get("Versions", []))

    def parts(self) -> int:
        """Return how many parts of unfinished uploads have come."""
        begun = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        ids = [{"Key": upload["Key"], "UploadId": upload["UploadId"]} for upload in begun]
        return sum(len(self.client.list_parts(Bucket=self.name, **one).get("Parts", [])) for one in ids)

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def body(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
