-- When the device was forgotten. The row stays only while nobody has confirmed the device, or while it may confirm
-- other devices.
ALTER TABLE devices ADD COLUMN forgotten_at TIMESTAMPTZ;
