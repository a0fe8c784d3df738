"""The base of a LoRA: SD 1.5 or SDXL, frozen, as far as training needs it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import MissingExtraError, WeightsError
from impasto.losses.min_snr import PREDICTION_TYPES
from impasto.weights import compatibility, hub, integrity

PIPELINE_CLASSES = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
"""Kind of base → diffusers' class."""
SAMPLE_GUIDANCE = 6.0
"""Of the pictures that are sampled while a LoRA is taught."""
UNET_FILE_PREFIX = "unet/diffusion_pytorch_model"
VAE_TILE_LATENTS = 32
"""Side in latents of the tiles that a picture is decoded in, where memory is short."""


class FrozenDiffusionModel:
    """A diffusion model of which nothing is trained.

    Args:
        name: a folder, or "owner/name" or "owner/name@revision" of the hub.
        accept_license: whether a license that forbids commercial use is accepted.

    Attributes:
        name: as given; with its revision, for a hub's.
        license: as its card states it, or "".
        is_xl: whether it is SDXL.
        sha256: of the files that were read, by name.
        unet, vae, encoders: its networks, in fp32.
        prediction_type: what it predicts; see :data:`impasto.losses.min_snr.PREDICTION_TYPES`.
        alphas_cumprod: ᾱ of each step of its noise.
        size_multiple: multiple in pixels that its pictures' sides have.
        native_size: of the square it was made for, in pixels.

    Raises:
        MissingExtraError: the extra ``diffusion`` is not installed.
        WeightsError: no such model, only half of it, or none of SD 1.5 or SDXL.
        KnobError: a license that was not accepted.
    """

    def __init__(self, name: str, accept_license: bool = False) -> None:
        require_diffusion_extra()
        from impasto.engines.diffusion.components import LICENSES, check_license

        source = hub.locate(name)
        looked = compatibility.inspect_model(source)
        self.name = source.title if source.folder is None else source.folder.name
        self.license = LICENSES.get(source.repo) or source.license()
        check_license(self.name, self.license, accept_license)
        self.is_xl = looked.family == "sdxl"
        self._load(source, looked)
        self.size_multiple = 8 * looked.vae_scale_factor
        self.native_size = int(self.unet.config.sample_size) * looked.vae_scale_factor
        self.device, self._prompt_cache = "cpu", dict[str, tuple[Tensor, Tensor]]()

    def _load(self, source: hub.ModelSource, info: compatibility.BaseModelInfo) -> None:
        from impasto.engines.diffusion.files import fetch_model_files, load_pretrained
        from impasto.engines.diffusion.verbosity import silence_logging

        root, files = fetch_model_files(source, info, half=False)
        self.sha256 = integrity.file_digests(
            root, [f for f in files if f.startswith(UNET_FILE_PREFIX)], source.title
        )
        with silence_logging():
            diffusers = importlib.import_module("diffusers")
            pipe = load_pretrained(
                source,
                getattr(diffusers, PIPELINE_CLASSES[info.family]),
                root,
                torch_dtype=torch.float32,
                variant="fp16" if any(".fp16." in file for file in files) else None,
                **({} if self.is_xl else {"safety_checker": None}),
            )
            config = pipe.scheduler.config
            self.scheduler = diffusers.DDIMScheduler.from_config(config, clip_sample=False)
        self.unet, self.vae = pipe.unet, pipe.vae
        self._zero_empty_prompt = self.is_xl and pipe.config.get(
            "force_zeros_for_empty_prompt", True
        )
        self.tokenizers = [
            getattr(pipe, t.replace("text_encoder", "tokenizer")) for t in info.text_encoders
        ]
        self.text_encoder_names = info.text_encoders
        self.encoders: list[nn.Module] = [getattr(pipe, part) for part in info.text_encoders]
        for part in (self.unet, self.vae, *self.encoders):
            part.requires_grad_(False).eval()
        self.prediction_type = str(self.scheduler.config.prediction_type)
        if self.prediction_type not in PREDICTION_TYPES:
            raise WeightsError(
                f"{self.name} predicts {self.prediction_type}, which is not known here."
            )
        self.alphas_cumprod: Tensor = self.scheduler.alphas_cumprod.float()

    def components(self) -> dict[str, Any]:
        """Name of a part as in a pipeline → the U-Net and the text encoders."""
        return {"unet": self.unet, **dict(zip(self.text_encoder_names, self.encoders, strict=True))}

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of a picture's latents, each (4, h, w); pixels (3, H, W) in 0..1."""
        with torch.no_grad():
            seen = self.vae.encode(pixels[None].to(self.vae.device) * 2 - 1).latent_dist
        factor = float(self.vae.config.scaling_factor)
        return seen.mean[0].cpu() * factor, seen.std[0].cpu() * factor

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in 0..1 of latents (N, 4, h, w), one at a time."""
        self.vae.to(self.device)
        try:
            with torch.no_grad(), torch.autocast(torch.device(self.device).type, enabled=False):
                scaled = latents.float() / self.vae.config.scaling_factor
                shown = [self._decode(one[None]) for one in scaled]
        finally:
            self.vae.to("cpu")
        return (torch.cat(shown) / 2 + 0.5).clamp(0, 1)

    def _decode(self, latents: Tensor) -> Tensor:
        """A picture; in tiles where there is too little memory for all of it."""
        with contextlib.suppress(torch.OutOfMemoryError):
            return torch.as_tensor(self.vae.decode(latents).sample)
        self.vae.enable_tiling()
        self.vae.tile_latent_min_size = VAE_TILE_LATENTS
        self.vae.tile_sample_min_size = VAE_TILE_LATENTS * self.size_multiple // 8
        return torch.as_tensor(self.vae.decode(latents).sample)

    def cached_prompt_embeds(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Texts as the U-Net sees them: (N, tokens, width), and for SDXL the whole of each (N, D).

        What was read before is not read again, for the encoders of a frozen base do not change.
        """
        for text in ("", *prompts):
            if text not in self._prompt_cache:
                with torch.no_grad():
                    words, whole = self.encode_prompts([text])
                self._prompt_cache[text] = words[0].cpu(), whole[0].cpu()
        found = [self._prompt_cache[text] for text in prompts]
        most, (empty, _) = max(len(words) for words, _ in found), self._prompt_cache[""]
        rest = [empty.repeat((most - len(words)) // len(empty), 1) for words, _ in found]
        filled = [torch.cat([own, more]) for (own, _), more in zip(found, rest, strict=True)]
        wholes = torch.stack([whole for _, whole in found])
        return torch.stack(filled).to(self.device), wholes.to(self.device)

    def encode_prompts(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The same, read anew, with gradients where the encoders have any.

        A text that is longer than they read at once is read in chunks, as
        :mod:`impasto.engines.diffusion.prompts` does.
        """
        from impasto.engines.diffusion.prompts import chunk_tokens

        cut = [[chunk_tokens(tokenizer, text) for text in prompts] for tokenizer in self.tokenizers]
        count = max(len(chunks) for each in cut for chunks in each)
        seen, whole = [], torch.zeros(len(prompts), 0, device=self._text_device)
        for tokenizer, encoder, chunked in zip(self.tokenizers, self.encoders, cut, strict=True):
            filled = [chunks + [[]] * (count - len(chunks)) for chunks in chunked]
            tokens = tokenizer.pad(
                {
                    "input_ids": [
                        _add_special_tokens(tokenizer, one) for chunks in filled for one in chunks
                    ]
                },
                padding="max_length",
                max_length=tokenizer.model_max_length,
                return_tensors="pt",
            ).input_ids.to(self._text_device)
            given: Any = encoder(tokens, output_hidden_states=self.is_xl)
            words = given.hidden_states[-2] if self.is_xl else given[0]
            seen.append(words.reshape(len(prompts), -1, words.shape[-1]))
            if self.is_xl and encoder is self.encoders[-1]:
                whole = given[0][::count]
        return torch.cat(seen, dim=-1), whole

    @property
    def _text_device(self) -> torch.device:
        return next(self.encoders[0].parameters()).device

    def predict(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        prompt_embeds: tuple[Tensor, Tensor],
        time_ids: Tensor,
    ) -> Tensor:
        """What the U-Net predicts of noisy latents (N, 4, h, w).

        Args:
            noisy: the latents.
            timesteps: of the noise, (N,).
            prompt_embeds: from :meth:`words` or :meth:`read`.
            time_ids: for SDXL, each picture's height and width, what was cut off at its top and
            left,
                and the height and width it has now, (N, 6).
        """
        texts, whole = prompt_embeds
        kind = self.unet.dtype
        more = {"text_embeds": whole.to(kind), "time_ids": time_ids.to(noisy.device, kind)}
        found = self.unet(
            noisy.to(kind),
            timesteps,
            encoder_hidden_states=texts.to(kind),
            added_cond_kwargs=more if self.is_xl else None,
        )
        return torch.as_tensor(found.sample).float()

    @torch.no_grad()
    def sample(
        self, prompt: str, size: tuple[int, int], seed: int, steps: int, reencode_prompt: bool
    ) -> Tensor:
        """Latents (4, h, w) of a new picture, the same for the same seed.

        Args:
            prompt: the prompt.
            size: height and width in pixels.
            seed: of the noise.
            steps: of DDIM.
            reencode_prompt: whether the text encoders are trained, so that the text is read anew.
        """
        shrinks = self.size_multiple // 8
        shape = (1, 4, size[0] // shrinks, size[1] // shrinks)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        latents = noise.to(self.device)
        words, whole = (
            self.encode_prompts(["", prompt])
            if reencode_prompt
            else self.cached_prompt_embeds(["", prompt])
        )
        if self._zero_empty_prompt:  # as the pipeline does
            words[0], whole[0] = 0, 0
        ids = torch.tensor([[*size, 0, 0, *size]] * 2, dtype=torch.float32)
        self.scheduler.set_timesteps(steps, device=self.device)
        for step in self.scheduler.timesteps:
            plain, told = self.predict(latents.repeat(2, 1, 1, 1), step, (words, whole), ids)
            guided = (plain + SAMPLE_GUIDANCE * (told - plain))[None]
            latents = self.scheduler.step(guided, step, latents).prev_sample
        return latents[0]


def _add_special_tokens(tokenizer: Any, chunk: Sequence[int]) -> list[int]:
    return [tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id]


def require_diffusion_extra() -> None:
    """Refuse to go on without the libraries.

    Raises:
        MissingExtraError: says the line that installs them.
    """
    missing = [p for p in ("diffusers", "transformers", "peft") if not importlib.util.find_spec(p)]
    if missing:
        raise MissingExtraError(
            f"{missing[0]} is not installed, and diffusion models need it; run: "
            'pip install "impasto[diffusion]"'
        )
