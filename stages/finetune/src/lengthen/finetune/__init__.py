"""finetune: expansions -> adapters."""
