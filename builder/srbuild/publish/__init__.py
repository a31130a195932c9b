"""Handing finished images out, in the forms that firmware and boot loaders take."""
