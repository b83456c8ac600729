"""What tests need around them: throw-away servers, a proxy to break connections, certificates, dump files."""
