"""The run's configuration: settings by section, read from one YAML file."""
