"""Videos and skills through the SDK."""

import io
import zipfile
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from PIL import Image

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def shape(raw: Any, schema: str) -> Any:
    """The parsed answer, after validating what came over the wire."""
    assert_valid(schema, raw.http_response.json())
    return raw.parse()


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
class TestVideos:
    def test_a_video_is_made_and_downloaded(self, quick_client: OpenAI, quick_sandbox: SandboxProcess) -> None:
        videos = quick_client.videos
        video = shape(videos.with_raw_response.create(prompt="A cat", seconds="8", size="1280x720"), "VideoResource")
        assert (video.status, video.model, video.seconds, video.size) == ("queued", "sora-2", "8", "1280x720")

        video = videos.poll(video.id)
        assert (video.status, video.progress) == ("completed", 100)
        assert video.expires_at is not None
        content = videos.download_content(video.id)
        assert content.response.headers["content-type"] == "video/mp4"
        data = content.read()
        assert data[4:12] == b"ftypisom"
        assert b"moov" in data
        thumbnail = Image.open(io.BytesIO(videos.download_content(video.id, variant="thumbnail").read()))
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (128, 128))
        assert video.id in [item.id for item in videos.list(limit=1)]

        remix = videos.remix(video.id, prompt="A dog")
        assert (remix.remixed_from_video_id, remix.seconds) == (video.id, "8")
        assert videos.edit(prompt="Blue", video=("a.mp4", data)).status == "queued"
        assert videos.extend(prompt="More", video=("a.mp4", data), seconds="12").seconds == "12"
        # The SDK cannot name a video where OpenAI's description can.
        named = quick_sandbox.post("/videos/edits", {"prompt": "Blue", "video": {"id": video.id}}).json()
        assert_valid("VideoResource", named)
        assert named["size"] == "1280x720"
        assert shape(videos.with_raw_response.delete(video.id), "DeletedVideoResource").deleted
        with pytest.raises(NotFoundError):
            videos.retrieve(video.id)

    def test_a_picture_may_lead(self, quick_client: OpenAI) -> None:
        video = quick_client.videos.create_and_poll(prompt="A cat", input_reference=("a.png", b"\x89PNG"))
        assert video.status == "completed"

    def test_a_video_fails_on_request(self, quick_client: OpenAI) -> None:
        video = quick_client.videos.create_and_poll(prompt="A cat [[sandbox: refusal]]")
        assert (video.status, video.prompt) == ("failed", "A cat")
        assert video.error is not None
        assert video.error.code == "moderation_blocked"

    def test_it_takes_a_while(self) -> None:
        with SandboxProcess("--job-seconds", "100") as sandbox, sandbox.client() as client:
            video = client.videos.create(prompt="A cat")
            with pytest.raises(BadRequestError, match="not ready yet; its status is 'queued'"):
                client.videos.download_content(video.id)
            sandbox.advance(60)
            assert client.videos.retrieve(video.id).status == "in_progress"
            assert 60 <= client.videos.retrieve(video.id).progress < 70
            sandbox.advance(50)
            assert client.videos.retrieve(video.id).status == "completed"

    @pytest.mark.parametrize(
        ("options", "param"), [({"seconds": "5"}, "seconds"), ({"size": "1x1"}, "size"), ({"prompt": ""}, "prompt")]
    )
    def test_bad_values_are_refused(self, quick_client: OpenAI, options: dict[str, Any], param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            quick_client.videos.create(**{"prompt": "A cat", **options})
        assert caught.value.param == param

    def test_characters(self, quick_client: OpenAI) -> None:
        raw = quick_client.videos.with_raw_response.create_character(name="Tom", video=("a.mp4", b"film"))
        character = shape(raw, "VideoCharacterResource")
        assert character.id is not None
        assert quick_client.videos.get_character(character.id).to_dict() == character.to_dict()


MANIFEST = b"---\nname: greet\ndescription: Says hello.\n---\nSay hello.\n"


class TestSkills:
    def test_versions_of_a_skill(self, quick_client: OpenAI) -> None:
        skills = quick_client.skills
        files = [("greet/SKILL.md", MANIFEST), ("greet/run.py", b"print('hello')")]
        skill = shape(skills.with_raw_response.create(files=files), "SkillResource")
        assert (skill.name, skill.description, skill.default_version) == ("greet", "Says hello.", "1")
        with zipfile.ZipFile(io.BytesIO(skills.content.retrieve(skill.id).read())) as bundle:
            assert bundle.read("greet/run.py") == b"print('hello')"

        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as made:
            made.writestr("greet/SKILL.md", MANIFEST.replace(b"hello", b"goodbye"))
        raw = skills.versions.with_raw_response.create(skill.id, files=("greet.zip", packed.getvalue()))
        version = shape(raw, "SkillVersionResource")
        assert (version.version, version.description) == ("2", "Says goodbye.")
        skill = skills.retrieve(skill.id)
        assert (skill.latest_version, skill.default_version) == ("2", "1")
        assert skills.update(skill.id, default_version="2").description == "Says goodbye."
        assert skills.versions.content.retrieve("2", skill_id=skill.id).read() == packed.getvalue()
        assert [item.version for item in skills.versions.list(skill.id)] == ["2", "1"]
        with pytest.raises(BadRequestError, match="default version"):
            skills.versions.delete("2", skill_id=skill.id)
        gone = skills.versions.with_raw_response.delete("1", skill_id=skill.id)
        assert_valid("DeletedSkillVersionResource", gone.http_response.json())

        assert skill.id in [item.id for item in skills.list()]
        assert shape(skills.with_raw_response.delete(skill.id), "DeletedSkillResource").deleted
        with pytest.raises(NotFoundError):
            skills.content.retrieve(skill.id)

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [("readme.md", b"x", "needs a SKILL.md"), ("a/SKILL.md", b"name: x\n", "must begin with a 'description'")],
    )
    def test_a_skill_needs_its_manifest(self, quick_client: OpenAI, name: str, data: bytes, message: str) -> None:
        with pytest.raises(BadRequestError, match=message):
            quick_client.skills.create(files=[(name, data)])
