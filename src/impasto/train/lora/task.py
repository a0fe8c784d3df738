"""A style LoRA of SD 1.5 or SDXL: taught from a folder of pictures in one style.

Sources: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022 (through the
library peft); Ruiz et al., "DreamBooth", CVPR 2023, section 3.2, for prior preservation; Hang et
al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023, for the weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor, nn

from impasto.core.errors import KnobError, MissingExtraError, ResourceError
from impasto.core.knobs import knob
from impasto.losses.min_snr import min_snr_weight, signal_to_noise
from impasto.train.dataset import ImageDataset
from impasto.train.lora.dataset import (
    CachedLatents,
    LatentDataset,
    encode_dataset,
    prepend_trigger,
    read_captions,
)
from impasto.train.lora.frozen_base import FrozenDiffusionModel, require_diffusion_extra
from impasto.train.lora.network import LoraNetwork
from impasto.train.lora.validation import DEFAULT_SAMPLE_PROMPTS, LoraValidator
from impasto.train.task import DataSpec, Rank, TrainConfig, TrainingTask
from impasto.weights.lora import read_lora_header, read_matrices, training_metadata, write_lora
from impasto.weights.model_files import FORMAT_VERSION, TrainedModel

CAPTION_SOURCES = ("auto", "files", "clip", "none")
PRIOR_SAMPLING_STEPS = 20
"""Of the sampling of pictures that hold the base to what it knew."""


@dataclass(frozen=True)
class LoraTrainConfig(TrainConfig):
    """The knobs."""

    steps: int = knob(1000, "steps of the optimizer", low=1, high=100_000_000)
    batch_size: int = knob(1, "pictures in a step, on each device", low=1, high=4096)
    crop_size: int = knob(
        0, "side of the square whose area the pictures get; 0: the base's", low=0, high=4096,
        unit="px",
    )  # fmt: skip
    learning_rate: float = knob(1e-4, "step length of Adam", low=1e-8, high=1)
    model: str = knob(
        "stabilityai/stable-diffusion-xl-base-1.0",
        "the base, SD 1.5 or SDXL: a folder, or a name on the hub, there also name@revision",
    )
    accept_license: bool = knob(False, "take a base whose license forbids commercial use")
    rank: int = knob(16, "of the matrices: how much they can learn", low=1, high=1024)
    alpha: float | None = knob(
        None, "their product is multiplied by alpha / rank; unset: the rank", low=1e-3, high=4096
    )
    blocks: tuple[str, ...] = knob((), "of the U-Net that learn, such as up.block_0; none: all")
    train_text_encoders: bool = knob(False, "whether the text encoders learn, too")
    text_encoder_lr_factor: float = knob(
        0.5, "how many times the learning rate the text encoders have", low=0, high=10
    )
    captions: str = knob(
        "auto", "of the pictures, without style words: from the .txt files beside them, and from "
        "CLIP for others; auto: if it is here; files: word for word", choices=CAPTION_SOURCES,
    )  # fmt: skip
    trigger: str = knob("", "a word that calls the style; stands before every caption")
    caption_dropout: float = knob(
        0.05, "share of the captions that are left out, so that the style comes unasked", low=0,
        high=1,
    )  # fmt: skip
    snr_gamma: float = knob(5.0, "γ of min-SNR; 0: every step of the noise counts alike", low=0)
    num_prior_images: int = knob(
        0, "pictures that the base paints first, to be held to what it knew; 0: none", low=0,
        high=10_000,
    )  # fmt: skip
    prior_prompt: str = knob("", "their prompt; unset: the captions without the trigger")
    prior_weight: float = knob(1.0, "of their loss", low=0)
    gradient_checkpointing: bool = knob(
        True, "compute activations twice instead of keeping them: less memory, a third more time"
    )
    optimizer: str = knob(
        "auto", "adam, or adam8bit of bitsandbytes; auto: that where it is installed, on a GPU",
        choices=("auto", "adam", "adam8bit"),
    )  # fmt: skip
    sample_prompts: str = knob(
        " | ".join(DEFAULT_SAMPLE_PROMPTS), "prompts of the sample pictures, with | between"
    )
    sample_steps: int = knob(20, "steps of a sample picture", low=1, high=1000)
    early_stop: bool = knob(
        True, "end when CLIP, if it is here, sees no more style or less of the prompts"
    )
    clip: str = knob("", "a CLIP for that: a folder, or a name on the hub; unset: IMPASTO_CLIP")
    evaluations: int = knob(10, "how often it looks", low=1, high=1000)


class LoraTask(TrainingTask):
    """Teaches a diffusion model a style, as a LoRA for SD 1.5 or SDXL.

    Args:
        course: the knobs.
        photos: folders of pictures in one style.
        styles: folders of pictures in no style, that hold the base to what it knew; or none.
        init_from: a LoRA to start from.
        captions: path → caption; None: those that lie beside the pictures as .txt, word for word.
    """

    name: ClassVar[str] = "lora"
    knobs = LoraTrainConfig
    flags: ClassVar[tuple[str, str]] = ("pictures", "prior-pictures")
    needs_captions: ClassVar[bool] = True

    def __init__(
        self,
        config: LoraTrainConfig,
        photos: Sequence[str],
        styles: Sequence[str],
        start: str,
        captions: Mapping[str, str] | None = None,
    ) -> None:
        require_diffusion_extra()
        self.dataset = ImageDataset(photos, config.crop_size, config.seed, "pictures")
        self.dataset.check_all()
        self.prior_dataset = (
            ImageDataset(styles, config.crop_size, config.seed, "prior pictures")
            if styles
            else None
        )
        if self.prior_dataset:
            self.prior_dataset.check_all()
        self.datasets = (
            (self.dataset, self.prior_dataset) if self.prior_dataset else (self.dataset,)
        )
        if captions is None:
            captions = read_captions(self.dataset) if config.captions != "none" else {}
        self.plain_captions = {str(f): captions.get(str(f), "") for f in self.dataset.files}
        self._check_knobs(config)
        self.base = FrozenDiffusionModel(config.model, config.accept_license)
        side = config.crop_size or self.base.native_size
        if side < self.base.size_multiple:
            raise KnobError(
                f"crop_size = {side}: it must be at least {self.base.size_multiple} px."
            )
        self.alpha = config.alpha or float(config.rank)
        self.config: LoraTrainConfig = dataclasses.replace(config, crop_size=side, alpha=self.alpha)
        self.captions = {
            f: prepend_trigger(config.trigger, text) for f, text in self.plain_captions.items()
        }
        self.network: LoraNetwork = LoraNetwork(
            self.base,
            config.rank,
            self.alpha,
            config.blocks,
            config.train_text_encoders,
            config.seed,
        )
        self.init_from = start
        if start:
            header = read_lora_header(Path(start))
            self.init_matrices = read_matrices(header)
        self.validator = LoraValidator(self.base, self.network, self.config)
        self.notes = self._remarks()

    @classmethod
    def from_sources(cls, config: Any, sources: DataSpec) -> LoraTask:
        told = sources.captions or None
        return cls(config, sources.photos, sources.styles, sources.init_from, told)

    @classmethod
    def start_model(cls, start: str) -> TrainedModel:
        card = training_metadata(read_lora_header(Path(start)))["card"]
        return TrainedModel(Path(start).name, "", cls.name, {}, {}, card)

    def _check_knobs(self, course: LoraTrainConfig) -> None:
        """Refuse knobs that contradict each other, or what is not installed."""
        if course.optimizer == "adam8bit" and not _has_bitsandbytes():
            raise MissingExtraError(
                "optimizer = 'adam8bit' needs bitsandbytes; run: pip install bitsandbytes"
            )
        if course.num_prior_images and self.prior_dataset:
            raise KnobError("prior and --prior-pictures: give one of them.")
        if (course.num_prior_images or self.prior_dataset) and not (
            course.trigger or course.prior_prompt
        ):
            raise KnobError(
                "With prior pictures, one prompt would mean two things: give a --trigger, which "
                "calls the style, or a --prior-prompt."
            )
        if (
            course.num_prior_images
            and not course.prior_prompt
            and not any(self.plain_captions.values())
        ):
            raise KnobError("prior: there are no captions to be painted; give a --prior-prompt.")
        if self.prior_dataset and not course.prior_prompt:
            beside = read_captions(self.prior_dataset)
            if lacking := sum(str(file) not in beside for file in self.prior_dataset.files):
                raise KnobError(
                    f"{lacking} of the prior pictures have no caption, and an empty prompt calls "
                    "the style now and then: give a --prior-prompt, or a .txt file beside each."
                )

    def _remarks(self) -> list[str]:
        told = sum(bool(text) for text in self.plain_captions.values())
        lacking = len(self.plain_captions) - told
        license = self.base.license or "not stated"
        layers = len(self.network.target_layers)
        said = [f"The base is {self.base.name}, license {license}; {layers} layers learn."]
        if lacking and (told or not self.config.trigger):
            said.append(
                f"{lacking} of {len(self.plain_captions)} pictures have no caption, and what "
                f"they show may "
                "be learnt as style: write it into a .txt file beside each."
            )
        return said + ([self.validator.disabled_reason] if self.validator.disabled_reason else [])

    def param_groups(self) -> list[dict[str, Any]]:
        return self.network.param_groups(self.config.text_encoder_lr_factor)

    def optimizer(self) -> torch.optim.Optimizer:
        wanted = self.config.optimizer
        if wanted == "adam8bit" or (
            wanted == "auto" and "cuda" in self.device and _has_bitsandbytes()
        ):
            small = importlib.import_module("bitsandbytes").optim.Adam8bit
            made_small: torch.optim.Optimizer = small(
                self.param_groups(), lr=self.config.learning_rate, betas=(0.9, 0.99)
            )
            return made_small
        return super().optimizer()

    def fingerprint(self) -> dict[str, Any]:
        text = json.dumps(list(self.captions.values()))
        return {
            "captions": hashlib.sha256(text.encode()).hexdigest()[:16],
            "base": sorted(self.base.sha256.values()),
        }

    def to(self, device: str, precision: str) -> None:
        """Encode all that does not change, and move what is needed on.

        Raises:
            ResourceError: the base does not fit, or a picture in it.
        """
        try:
            self._prepare(device, precision)
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"Too little memory on {device} for {self.base.name} at {self.config.crop_size} "
                f"px: try "
                "a smaller --crop-size, or --model with an SD 1.5."
            ) from error

    def _prepare(self, device: str, precision: str) -> None:
        self.device = self.base.device = device
        base, course = self.base, self.config
        base.vae.to(device)
        kept = self._encode_dataset(self.dataset, self.captions)
        self.style_latents = self._make_latent_dataset(kept, course.seed, course.caption_dropout)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        prior = []
        if self.prior_dataset:
            prompts = {str(f): course.prior_prompt for f in self.prior_dataset.files}
            prior = self._encode_dataset(
                self.prior_dataset, prompts | read_captions(self.prior_dataset)
            )
        base.vae.to("cpu")
        for name, parameter in base.unet.named_parameters():
            if "lora_" not in name:
                parameter.data = parameter.data.to(kind)
        for part in (base.unet, *base.encoders):
            part.to(device)
        texts = [
            "",
            *self.captions.values(),
            *self.plain_captions.values(),
            *self.validator.prompts,
        ]
        if not course.train_text_encoders:
            base.cached_prompt_embeds(
                [*texts, *(each.caption for each in prior), course.prior_prompt]
            )
            for encoder in base.encoders:
                encoder.to("cpu")
        if course.gradient_checkpointing:
            base.unet.enable_gradient_checkpointing()
        alphas = base.alphas_cumprod.to(device)
        self.alphas_cumprod = alphas
        self.snr_weights = min_snr_weight(
            signal_to_noise(alphas), course.snr_gamma, base.prediction_type
        )
        if course.num_prior_images:
            prior = self._generate_prior()
        self.prior_latents = self._make_latent_dataset(prior, course.seed + 1) if prior else None
        self.validator.prepare(self.dataset.files)
        if self.init_from:
            self.network.load_matrices(self.init_matrices, self.init_from)

    def _make_latent_dataset(
        self, kept: Sequence[CachedLatents], seed: int, dropped: float = 0.0
    ) -> LatentDataset:
        return LatentDataset(
            kept, self.config.batch_size, seed, len(self.base.alphas_cumprod), dropped
        )

    def _encode_dataset(
        self, dataset: ImageDataset, captions: Mapping[str, str]
    ) -> list[CachedLatents]:
        side = self.config.crop_size
        found, small = encode_dataset(self.base, dataset, captions, side)
        if small:
            self.notes = [
                *self.notes,
                f"{small} of the {dataset.role} are smaller than {side} px and are scaled up, "
                f"which "
                "makes a soft style: take larger ones, or a smaller --crop-size.",
            ]
        return found

    def _generate_prior(self) -> list[CachedLatents]:
        """What the base paints before it is taught; the size is that of every bucket in turn."""
        prompt, sizes = self.config.prior_prompt, list(self.style_latents.buckets.members)
        texts = [prompt] if prompt else [t for t in self.plain_captions.values() if t]
        found = []
        for number in range(self.config.num_prior_images):
            text, size = texts[number % len(texts)], sizes[number % len(sizes)]
            seed = self.config.seed + 1 + number
            live = self.config.train_text_encoders
            latents = self.base.sample(text, size, seed, PRIOR_SAMPLING_STEPS, live).cpu()
            ids = (*size, 0, 0, *size)
            found.append(CachedLatents(latents, torch.zeros_like(latents), ids, text))
        return found

    def loss(self, network: nn.Module, step: int, rank: Rank) -> dict[str, Tensor]:
        turn = step * rank.count + rank.index
        terms = {"style": self._denoising_loss(network, self.style_latents.batch(turn))}
        if self.prior_latents:
            held = self._denoising_loss(network, self.prior_latents.batch(turn))
            terms["prior"] = self.config.prior_weight * held
        return terms

    def _denoising_loss(self, network: nn.Module, batch: Any) -> Tensor:
        """The weighted squared error of what is predicted, as in DDPM's simple loss."""
        clean, noise = batch.latents.to(self.device), batch.noise.to(self.device)
        steps = batch.timesteps.to(self.device)
        signal = self.alphas_cumprod[steps].sqrt().view(-1, 1, 1, 1)
        drowned = (1 - self.alphas_cumprod[steps]).sqrt().view(-1, 1, 1, 1)
        found = network(signal * clean + drowned * noise, steps, batch.captions, batch.time_ids)
        wanted = {
            "epsilon": noise,
            "v_prediction": signal * noise - drowned * clean,
            "sample": clean,
        }[self.base.prediction_type]
        errors = (found - wanted).square().mean(dim=(1, 2, 3))
        weighted: Tensor = self.snr_weights[steps] * errors
        return weighted.mean()

    def should_evaluate(self, step: int) -> bool:
        return self.validator.should_evaluate(step)

    def should_stop(self, step: int) -> bool:
        with self._explain_out_of_memory():
            return self.validator.should_stop(step)

    def summary(self) -> tuple[str, bool]:
        return self.validator.early_stopping.summary

    def state_dict(self) -> dict[str, Any]:
        return self.validator.state_dict()

    def load_state_dict(self, memory: Mapping[str, Any]) -> None:
        self.validator.load_state_dict(memory)

    def preview(self) -> Tensor:
        """Sample pictures: those of the base on top, below with the LoRA as it is."""
        with self._explain_out_of_memory():
            return self.validator.grid()

    @contextlib.contextmanager
    def _explain_out_of_memory(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"Too little memory for a sample picture of {self.config.crop_size} px. What was "
                f"taught "
                "is kept: --resume goes on, without --preview. Or begin anew with a smaller "
                "--crop-size "
                "or, if it was CLIP's look, with --no-early-stop."
            ) from error

    def model_tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
        about = {
            "base": self.base.name,
            "base_sha256": self.base.sha256,
            "base_license": self.base.license,
            "family": "sdxl" if self.base.is_xl else "sd15",
            "rank": self.config.rank,
            "alpha": self.config.alpha,
            "trigger": self.config.trigger,
            **self.validator.metadata(),
        }
        return self.validator.best_tensors() or self.network.kohya_state_dict(), about

    def write(
        self,
        file: BinaryIO,
        tensors: Mapping[str, Tensor],
        about: Mapping[str, Any],
        card: Mapping[str, Any],
    ) -> None:
        """Write it with what ComfyUI, A1111 and kohya's tools look for in the metadata."""
        xl = self.base.is_xl
        ours = {"format": FORMAT_VERSION, "kind": self.name, "about": about, "card": card}
        told = {
            "impasto": json.dumps(ours, ensure_ascii=False),
            "modelspec.sai_model_spec": "1.0.0",
            "modelspec.architecture": f"stable-diffusion-{'xl-v1-base' if xl else 'v1'}/lora",
            "modelspec.title": self.config.trigger or "style",
            "modelspec.prediction_type": self.base.prediction_type.split("_")[0],
            "modelspec.license": str(card.get("license", "")),
            "modelspec.trigger_phrase": self.config.trigger,
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(self.config.rank),
            "ss_network_alpha": str(self.alpha),
            "ss_base_model_version": "sdxl_base_v1-0" if xl else "sd_v1",
            "ss_sd_model_name": self.base.name,
            "ss_num_train_images": str(len(self.dataset)),
            "ss_steps": str(card.get("steps", "")),
        }
        write_lora(file, tensors, {k: v for k, v in told.items() if v})


def _has_bitsandbytes() -> bool:
    return importlib.util.find_spec("bitsandbytes") is not None
