"""A module and its data, in one file as somebody would write them; tests copy it to a folder of theirs."""

import lightning
import numpy as np
import torch
import torchmetrics
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Points(Dataset):
    """Two rings in the plane, with noise that is drawn anew each time by NumPy's global generator."""

    def __init__(self, count: int, seed: int, noise: float):
        draw = np.random.default_rng(seed)
        self.labels = np.arange(count) % 2
        angles, radius = draw.uniform(0, 2 * np.pi, count), 1.0 + self.labels + draw.normal(0, 0.2, count)
        self.points = np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)
        self.noise = noise

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        point = self.points[index] + (np.random.normal(0, self.noise, 2) if self.noise else 0)
        return torch.tensor(point, dtype=torch.float32), int(self.labels[index])


class Rings(lightning.LightningDataModule):
    def __init__(self, count: int = 120, batch_size: int = 16, noise: float = 0.05, workers: int = 0):
        super().__init__()
        self.count, self.batch_size, self.noise, self.workers = count, batch_size, noise, workers

    def setup(self, stage: str) -> None:
        self.train, self.val = Points(self.count, 1, self.noise), Points(80, 2, 0.0)

    def train_dataloader(self):
        return DataLoader(self.train, self.batch_size, shuffle=True, num_workers=self.workers)

    def val_dataloader(self):
        return DataLoader(self.val, 40)


class Net(lightning.LightningModule):
    def __init__(self, width: int = 16, lr: float = 0.02, dropout: float = 0.1, schedule: str = "plateau"):
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Linear(2, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 2)
        )
        self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=2)

    def training_step(self, batch, index):
        points, labels = batch
        loss = nn.functional.cross_entropy(self.layers(points), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index):
        points, labels = batch
        logits = self.layers(points)
        self.accuracy(logits, labels)
        self.log("val_accuracy", self.accuracy)
        self.log("val_loss", nn.functional.cross_entropy(logits, labels))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.lr)
        if self.hparams.schedule == "plateau":
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "train_loss"}}
        if self.hparams.schedule == "epoch":
            return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
