DROP INDEX sessions_device_ended;
