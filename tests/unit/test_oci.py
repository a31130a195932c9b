"""Documents of OCI image layouts: what is taken, what is refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.formats.oci import (
    Descriptor,
    OciError,
    Platform,
    check_layout,
    choose_image,
    oci_architecture,
    parse_index,
    parse_manifest,
    parse_platform,
)

DIGEST = f"sha256:{'a' * 64}"
OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["manifests", "layers", "config", "mediaType", "digest", "size", "platform", "os"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def blob(media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 7, **more}


def manifest(*layers: str, config: str = f"{OCI}.config.v1+json") -> bytes:
    return json.dumps({"config": blob(config), "layers": [blob(kind) for kind in layers]}).encode()


def image(platform: Platform, digit: str = "a", name: str = "") -> tuple[Descriptor, Platform]:
    return Descriptor(f"{OCI}.manifest.v1+json", f"sha256:{digit * 64}", 7, None, name), platform


def test_an_index_names_images_with_platform_and_tag() -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    notes = {"org.opencontainers.image.ref.name": "v1"}
    index = {"manifests": [blob(f"{OCI}.manifest.v1+json", platform=platform, annotations=notes)]}
    (found,) = parse_index(json.dumps(index).encode())
    assert (found.platform, found.name, found.size) == (ARM, "v1", 7)
    assert found.blob == f"blobs/sha256/{'a' * 64}"


def test_attestations_are_no_images() -> None:
    attached = blob(
        f"{OCI}.manifest.v1+json", platform={"os": "unknown", "architecture": "unknown"}
    )
    index = {"manifests": [attached, blob(f"{OCI}.manifest.v1+json")]}
    assert len(parse_index(json.dumps(index).encode())) == 1


@pytest.mark.parametrize(
    "kind",
    [
        f"{OCI}.layer.v1.tar",
        f"{OCI}.layer.v1.tar+zstd",
        f"{DOCKER}.image.rootfs.diff.tar.gzip",
    ],
)
def test_layers_of_every_kind(kind: str) -> None:
    assert [layer.media_type for layer in parse_manifest(manifest(kind, kind)).layers] == [kind] * 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (manifest(f"{OCI}.layer.v1.tar+br"), "unknown media type"),
        (manifest(f"{OCI}.layer.v1.tar", config="application/vnd.cncf.helm"), "unknown media type"),
        (manifest(), "without layers"),
        (b'{"layers": [1], "config": {}}', "without media type"),
        (b"[]", "no JSON object"),
        (b"{", "damaged"),
        (b"[" * 100000, "damaged"),
    ],
)
def test_manifests_that_cannot_be_used(data: bytes, reason: str) -> None:
    with pytest.raises(OciError, match=reason):
        parse_manifest(data)


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:" + "a" * 63],
)
def test_a_digest_can_name_nothing_but_a_blob(digest: str) -> None:
    index = {"manifests": [{**blob(f"{OCI}.manifest.v1+json"), "digest": digest}]}
    with pytest.raises(OciError, match="not a digest"):
        parse_index(json.dumps(index).encode())


def test_an_index_of_unknown_things_is_refused() -> None:
    with pytest.raises(OciError, match=r"unknown media type 'application/x'"):
        parse_index(json.dumps({"manifests": [blob("application/x")]}).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"imageLayoutVersion": "2.0.0"}'])
def test_other_layouts_are_refused(data: bytes) -> None:
    with pytest.raises(OciError):
        check_layout(data)


def test_a_configuration_names_its_platform() -> None:
    assert parse_platform(b'{"os": "linux", "architecture": "arm64"}') == ARM
    with pytest.raises(OciError):
        parse_platform(b'{"os": "linux"}')


def test_the_only_image_is_taken_whatever_it_is_for() -> None:
    assert choose_image([image(ARM)], None, "amd64").digest == DIGEST


def test_of_several_this_machines_is_taken_unless_another_is_asked_for() -> None:
    images = [image(AMD, "a"), image(ARM, "b")]
    assert choose_image(images, None, "arm64").digest.endswith("b")
    assert choose_image(images, "amd64", "arm64").digest.endswith("a")


@pytest.mark.parametrize(
    ("images", "wanted", "reason"),
    [
        ([], None, "there is no image"),
        ([image(ARM)], "amd64", r"no image for linux/amd64; there is linux/arm64"),
        ([image(AMD), image(ARM, "b")], None, "no image for linux/riscv64"),
        ([image(Platform("windows", "amd64"))], None, "there is windows/amd64"),
        ([image(AMD, "a", "one"), image(AMD, "b", "two")], "amd64", "2 images .*: one, two"),
    ],
)
def test_no_image_or_too_many(images, wanted, reason: str) -> None:
    with pytest.raises(OciError, match=reason):
        choose_image(images, wanted, "riscv64")


def test_one_image_under_two_tags_is_one() -> None:
    assert choose_image([image(AMD, "a", "one"), image(AMD, "a", "two")], None, "arm64")


def test_architectures_are_named_as_go_does() -> None:
    assert [oci_architecture(one) for one in ("amd64", "i386", "ppc64el", "armhf")] == [
        "amd64",
        "386",
        "ppc64le",
        "arm",
    ]


@given(json_values | st.binary())
def test_any_document_is_read_or_refused(value: object) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    for parse in (check_layout, parse_index, parse_manifest, parse_platform):
        with contextlib.suppress(OciError):
            parse(data)
