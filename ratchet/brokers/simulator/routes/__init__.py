"""The endpoints: `pipeline` carries a call through, the others answer it, `admin` steers the simulator."""
