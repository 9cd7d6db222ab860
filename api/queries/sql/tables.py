"""The tables for SQLAlchemy Core: rows are read as rows, never as objects."""

from sqlmodel import SQLModel

from schema.tables import tables

TABLES = SQLModel.metadata.tables

chain = TABLES[tables.Chain.__tablename__]
standby = TABLES[tables.Standby.__tablename__]
contract = TABLES[tables.Contract.__tablename__]
block = TABLES[tables.Block.__tablename__]
orphaned_block = TABLES[tables.OrphanedBlock.__tablename__]
orphaned_event = TABLES[tables.OrphanedEvent.__tablename__]
reorg = TABLES[tables.Reorg.__tablename__]
verified_header = TABLES[tables.VerifiedHeader.__tablename__]
receipt_proof = TABLES[tables.ReceiptProof.__tablename__]
verification_failure = TABLES[tables.VerificationFailure.__tablename__]
disagreement = TABLES[tables.Disagreement.__tablename__]
profile = TABLES[tables.ProfileText.__tablename__]
event = TABLES[tables.Event.__tablename__]
call = TABLES[tables.Call.__tablename__]
device = TABLES[tables.Device.__tablename__]
device_version = TABLES[tables.DeviceVersion.__tablename__]
device_key = TABLES[tables.DeviceKey.__tablename__]
device_activity = TABLES[tables.DeviceActivity.__tablename__]
device_attribute = TABLES[tables.DeviceAttribute.__tablename__]
authorization = TABLES[tables.Authorization.__tablename__]
test_result = TABLES[tables.TestResult.__tablename__]
firmware_update = TABLES[tables.FirmwareUpdate.__tablename__]
factory_reset = TABLES[tables.FactoryReset.__tablename__]
end_of_life_step = TABLES[tables.EndOfLifeStep.__tablename__]
transfer = TABLES[tables.Transfer.__tablename__]
manufacturer = TABLES[tables.Manufacturer.__tablename__]
manufacturer_version = TABLES[tables.ManufacturerVersion.__tablename__]
hardware_license = TABLES[tables.HardwareLicense.__tablename__]
hardware_license_version = TABLES[tables.HardwareLicenseVersion.__tablename__]
vehicle = TABLES[tables.Vehicle.__tablename__]
vehicle_version = TABLES[tables.VehicleVersion.__tablename__]
vehicle_attribute = TABLES[tables.VehicleAttribute.__tablename__]
synthetic_device = TABLES[tables.SyntheticDevice.__tablename__]
synthetic_device_version = TABLES[tables.SyntheticDeviceVersion.__tablename__]
synthetic_device_attribute = TABLES[tables.SyntheticDeviceAttribute.__tablename__]
account = TABLES[tables.Account.__tablename__]
