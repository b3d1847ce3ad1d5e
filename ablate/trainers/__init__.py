"""The trainers that come along: image classification, any program, any function. Their interface is `ablate.spec.trainer`."""
