"""Runs on a Kubernetes cluster with Argo Workflows: submit, follow, stop, logs, plan."""
