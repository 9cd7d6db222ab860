// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Device Minting Certificates: one ERC-721 token per hardware device, its licence and the record of its life.
/// @notice Only a manufacturer with a valid licence mints, for devices under one of its own valid hardware licences.
///         Every change emits one event; a reader of the events alone knows all that the getters answer.
/// @dev Times are unix seconds, an unset string is "". Codes outside the known lists are recorded as they are given.
contract DeviceCertificate {
    // ------------------------------------------------------------------ events

    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

    event ManufacturerLicensed(uint256 indexed manufacturerId, address indexed account, string name, string licenseURI, bytes32 licenseHash, uint64 expiresAt);
    event ManufacturerLicenseRevoked(uint256 indexed manufacturerId, string reason);
    event HardwareLicensed(uint256 indexed hardwareLicenseId, uint256 indexed manufacturerId, string model, string hardwareRevision, string licenseURI, bytes32 licenseHash, uint64 expiresAt);
    event HardwareLicenseRevoked(uint256 indexed hardwareLicenseId, string reason);
    event CertificateMinted(uint256 indexed tokenId, address indexed device, uint256 indexed manufacturerId, uint256 hardwareLicenseId, string serialNumber, string imei, uint64 manufacturedAt, string firmwareVersion);
    event CertificateCorrected(uint256 indexed tokenId, string attribute, string value);
    event DeviceAddressReset(uint256 indexed tokenId, address indexed device);
    event InCircuitTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash);
    event MechanicalTestRecorded(uint256 indexed tokenId, bool passed, uint64 testedAt, string station, string reportURI, bytes32 reportHash);
    event QualityInspectionRecorded(uint256 indexed tokenId, bool passed, uint64 inspectedAt, string inspector, string reportURI, bytes32 reportHash);
    event DeviceProvisioned(uint256 indexed tokenId, uint64 provisionedAt);
    event UserAuthorized(uint256 indexed tokenId, address indexed user, string organization, uint256 permissions, uint64 expiresAt);
    event UserRevoked(uint256 indexed tokenId, address indexed user);
    event FactoryReset(uint256 indexed tokenId, address indexed initiator, uint64 resetAt, uint8 reason);
    event FirmwareUpdated(uint256 indexed tokenId, string fromVersion, string toVersion, bytes32 imageHash, uint8 result, uint64 appliedAt);
    event EndOfLifeRecorded(uint256 indexed tokenId, uint8 indexed process, uint64 occurredAt, string facility, uint8 sanitization, string evidenceURI, bytes32 evidenceHash);

    // ------------------------------------------------------------------ refusals

    error NotRegistrar(address caller);
    error ZeroId();
    error ZeroAddress();
    error AccountOfOtherManufacturer(address account, uint256 manufacturerId);
    error NoManufacturerLicense(uint256 manufacturerId);
    error ManufacturerLicenseRevokedBefore(uint256 manufacturerId);
    error ManufacturerLicenseExpired(uint256 manufacturerId, uint64 expiresAt);
    error NotManufacturer(uint256 manufacturerId, address caller);
    error NoHardwareLicense(uint256 hardwareLicenseId);
    error HardwareLicenseOfOtherManufacturer(uint256 hardwareLicenseId, uint256 manufacturerId);
    error HardwareLicenseRevokedBefore(uint256 hardwareLicenseId);
    error HardwareLicenseExpired(uint256 hardwareLicenseId, uint64 expiresAt);
    error NoDevicesToMint();
    error DeviceAddressTaken(address device, uint256 tokenId);
    error SerialNumberTaken(uint256 manufacturerId, string serialNumber);
    error NotUnixSeconds(string value);
    error NoSuchToken(uint256 tokenId);
    error Disposed(uint256 tokenId);
    error NotPermitted(uint256 tokenId, address caller);
    error NoSuchGrant(uint256 tokenId, address user);
    error NotOwner(uint256 tokenId, address claimed);
    error NotApproved(uint256 tokenId, address caller);
    error UnsafeRecipient(address recipient);

    // ------------------------------------------------------------------ what is kept

    struct ManufacturerLicense {
        address account;
        uint64 expiresAt; // the first second without the licence, 0 is never
        bool granted;
        bool revoked;
        string name;
        string licenseURI;
        bytes32 licenseHash;
    }

    struct HardwareLicense {
        uint256 manufacturerId;
        uint64 expiresAt;
        bool granted;
        bool revoked;
        string model;
        string hardwareRevision;
        string licenseURI;
        bytes32 licenseHash;
    }

    /// @dev What a factory says of one device.
    struct MintRequest {
        address device;
        uint256 hardwareLicenseId;
        string serialNumber;
        string imei;
        uint64 manufacturedAt;
        string firmwareVersion;
    }

    struct Certificate {
        address device;
        uint64 manufacturedAt;
        uint256 manufacturerId;
        uint256 hardwareLicenseId;
        string serialNumber;
        string imei;
        string hardwareRevision; // "" where the hardware licence's holds
        string initialFirmware;
        string firmware;
        uint64 mintedAt;
        uint64 provisionedAt;
        uint32 factoryResets;
        uint32 firmwareUpdates;
        uint8 endOfLife; // the furthest process, 0 in service
    }

    /// @dev The outcome of a test, as its station reports it.
    struct Report {
        bool passed;
        uint64 testedAt;
        string station;
        string reportURI;
        bytes32 reportHash;
    }

    struct EndOfLifeStep {
        uint8 process;
        uint64 occurredAt;
        string facility;
        uint8 sanitization;
        string evidenceURI;
        bytes32 evidenceHash;
    }

    struct Grant {
        bool open;
        uint64 expiresAt; // the first second without access, 0 is never
        uint256 permissions;
        string organization;
    }

    uint8 public constant DECOMMISSIONED = 1;
    uint8 public constant RECYCLED = 2;
    uint8 public constant DISPOSED = 3;

    uint8 public constant SUCCEEDED = 0;

    uint256 public constant READ = 1;
    uint256 public constant UPDATE_FIRMWARE = 2;
    uint256 public constant RESET = 4;
    uint256 public constant MANAGE_USERS = 8;

    string public constant name = "Device Certificate";
    string public constant symbol = "DEVICE";

    /// @notice The account that grants and revokes licences.
    address public immutable registrar;
    uint256 public totalMinted;

    string private _baseURI;
    mapping(uint256 manufacturerId => ManufacturerLicense) private _manufacturers;
    mapping(address account => uint256 manufacturerId) private _manufacturerOf;
    mapping(uint256 hardwareLicenseId => HardwareLicense) private _hardwareLicenses;
    mapping(uint256 tokenId => Certificate) private _certificates;
    mapping(uint256 tokenId => mapping(string attribute => string)) private _attributes;
    mapping(uint256 tokenId => mapping(address user => Grant)) private _grants;
    mapping(address device => uint256 tokenId) private _tokenOf;
    mapping(uint256 manufacturerId => mapping(string serialNumber => bool)) private _serialTaken;

    mapping(uint256 tokenId => address) private _owners;
    mapping(address owner => uint256) private _balances;
    mapping(uint256 tokenId => address) private _approved;
    mapping(address owner => mapping(address operator => bool)) private _operators;

    constructor(string memory baseURI) {
        registrar = msg.sender;
        _baseURI = baseURI;
    }

    // ------------------------------------------------------------------ licences, by the registrar

    modifier onlyRegistrar() {
        if (msg.sender != registrar) revert NotRegistrar(msg.sender);
        _;
    }

    /// @notice Grants a manufacturing licence, or renews it: a renewal replaces every field and clears a revocation.
    function licenseManufacturer(
        uint256 manufacturerId,
        address account,
        string calldata manufacturerName,
        string calldata licenseURI,
        bytes32 licenseHash,
        uint64 expiresAt
    ) external onlyRegistrar {
        if (manufacturerId == 0) revert ZeroId();
        if (account == address(0)) revert ZeroAddress();
        uint256 holder = _manufacturerOf[account];
        if (holder != 0 && holder != manufacturerId) revert AccountOfOtherManufacturer(account, holder);

        delete _manufacturerOf[_manufacturers[manufacturerId].account];
        _manufacturerOf[account] = manufacturerId;
        _manufacturers[manufacturerId] =
            ManufacturerLicense(account, expiresAt, true, false, manufacturerName, licenseURI, licenseHash);
        emit ManufacturerLicensed(manufacturerId, account, manufacturerName, licenseURI, licenseHash, expiresAt);
    }

    function revokeManufacturerLicense(uint256 manufacturerId, string calldata reason) external onlyRegistrar {
        ManufacturerLicense storage license = _manufacturers[manufacturerId];
        if (!license.granted) revert NoManufacturerLicense(manufacturerId);
        if (license.revoked) revert ManufacturerLicenseRevokedBefore(manufacturerId);
        license.revoked = true;
        emit ManufacturerLicenseRevoked(manufacturerId, reason);
    }

    /// @notice Grants a hardware licence to a manufacturer, or renews it.
    function licenseHardware(
        uint256 hardwareLicenseId,
        uint256 manufacturerId,
        string calldata model,
        string calldata hardwareRevision,
        string calldata licenseURI,
        bytes32 licenseHash,
        uint64 expiresAt
    ) external onlyRegistrar {
        if (hardwareLicenseId == 0) revert ZeroId();
        if (!_manufacturers[manufacturerId].granted) revert NoManufacturerLicense(manufacturerId);
        uint256 holder = _hardwareLicenses[hardwareLicenseId].manufacturerId;
        if (holder != 0 && holder != manufacturerId) {
            revert HardwareLicenseOfOtherManufacturer(hardwareLicenseId, holder);
        }
        HardwareLicense storage license = _hardwareLicenses[hardwareLicenseId];
        license.manufacturerId = manufacturerId;
        license.expiresAt = expiresAt;
        license.granted = true;
        license.revoked = false;
        license.model = model;
        license.hardwareRevision = hardwareRevision;
        license.licenseURI = licenseURI;
        license.licenseHash = licenseHash;
        emit HardwareLicensed(hardwareLicenseId, manufacturerId, model, hardwareRevision, licenseURI, licenseHash, expiresAt);
    }

    function revokeHardwareLicense(uint256 hardwareLicenseId, string calldata reason) external onlyRegistrar {
        HardwareLicense storage license = _hardwareLicenses[hardwareLicenseId];
        if (!license.granted) revert NoHardwareLicense(hardwareLicenseId);
        if (license.revoked) revert HardwareLicenseRevokedBefore(hardwareLicenseId);
        license.revoked = true;
        emit HardwareLicenseRevoked(hardwareLicenseId, reason);
    }

    // ------------------------------------------------------------------ the factory, by the licensed manufacturer

    /// @notice Mints one device's certificate to `owner`.
    function mint(uint256 manufacturerId, address owner, MintRequest calldata request)
        external
        returns (uint256 tokenId)
    {
        _requireLicensed(manufacturerId);
        return _mint(manufacturerId, owner, request);
    }

    /// @notice Mints a pallet of devices to `owner`; token ids follow one another from the returned one. All or none.
    function mintBatch(uint256 manufacturerId, address owner, MintRequest[] calldata requests)
        external
        returns (uint256 firstTokenId)
    {
        _requireLicensed(manufacturerId);
        if (requests.length == 0) revert NoDevicesToMint();
        firstTokenId = totalMinted + 1;
        for (uint256 i = 0; i < requests.length; i++) {
            _mint(manufacturerId, owner, requests[i]);
        }
    }

    /// @notice Corrects what the mint said of the device, or sets a free attribute.
    /// @dev serialNumber, imei, hardwareRevision and manufacturedAt (decimal unix seconds) correct the certificate;
    ///      any other name is kept as it is. A disposed device's record may still be put right.
    function correct(uint256 tokenId, string calldata attribute, string calldata value) external {
        _requireManufacturerOf(tokenId);
        Certificate storage certificate_ = _certificates[tokenId];
        bytes32 known = keccak256(bytes(attribute));
        if (known == keccak256("serialNumber")) {
            _takeSerial(certificate_.manufacturerId, value);
            delete _serialTaken[certificate_.manufacturerId][certificate_.serialNumber];
            certificate_.serialNumber = value;
        } else if (known == keccak256("imei")) {
            certificate_.imei = value;
        } else if (known == keccak256("hardwareRevision")) {
            certificate_.hardwareRevision = value;
        } else if (known == keccak256("manufacturedAt")) {
            certificate_.manufacturedAt = _unixSeconds(value);
        } else {
            _attributes[tokenId][attribute] = value;
        }
        emit CertificateCorrected(tokenId, attribute, value);
    }

    /// @notice Gives the device another address, as after a change of its secure element.
    function resetDeviceAddress(uint256 tokenId, address device) external {
        _requireManufacturerOf(tokenId);
        _requireNotDisposed(tokenId);
        _takeDeviceAddress(device, tokenId);
        delete _tokenOf[_certificates[tokenId].device];
        _certificates[tokenId].device = device;
        emit DeviceAddressReset(tokenId, device);
    }

    function recordInCircuitTest(uint256 tokenId, Report calldata report) external {
        _requireManufacturerOf(tokenId);
        _requireNotDisposed(tokenId);
        emit InCircuitTestRecorded(
            tokenId, report.passed, report.testedAt, report.station, report.reportURI, report.reportHash
        );
    }

    function recordMechanicalTest(uint256 tokenId, Report calldata report) external {
        _requireManufacturerOf(tokenId);
        _requireNotDisposed(tokenId);
        emit MechanicalTestRecorded(
            tokenId, report.passed, report.testedAt, report.station, report.reportURI, report.reportHash
        );
    }

    /// @notice Records the factory's inspection; `station` names the inspector.
    function recordQualityInspection(uint256 tokenId, Report calldata report) external {
        _requireManufacturerOf(tokenId);
        _requireNotDisposed(tokenId);
        emit QualityInspectionRecorded(
            tokenId, report.passed, report.testedAt, report.station, report.reportURI, report.reportHash
        );
    }

    function provision(uint256 tokenId, uint64 provisionedAt) external {
        _requireManufacturerOf(tokenId);
        _requireNotDisposed(tokenId);
        _certificates[tokenId].provisionedAt = provisionedAt;
        emit DeviceProvisioned(tokenId, provisionedAt);
    }

    // ------------------------------------------------------------------ the life, by the owner and authorized users

    /// @notice Grants a user access to the device; replaces the user's grant, if there is one.
    /// @param expiresAt the first second without access, 0 is never.
    function authorizeUser(
        uint256 tokenId,
        address user,
        string calldata organization,
        uint256 permissions,
        uint64 expiresAt
    ) external {
        _requirePermission(tokenId, MANAGE_USERS);
        _requireNotDisposed(tokenId);
        if (user == address(0)) revert ZeroAddress();
        _grants[tokenId][user] = Grant(true, expiresAt, permissions, organization);
        emit UserAuthorized(tokenId, user, organization, permissions, expiresAt);
    }

    /// @notice Ends a user's grant, as the owner, a manager of users, or the user.
    function revokeUser(uint256 tokenId, address user) external {
        if (msg.sender == user) _requireToken(tokenId);
        else _requirePermission(tokenId, MANAGE_USERS);
        if (!_grants[tokenId][user].open) revert NoSuchGrant(tokenId, user);
        delete _grants[tokenId][user];
        emit UserRevoked(tokenId, user);
    }

    function factoryReset(uint256 tokenId, uint64 resetAt, uint8 reason) external {
        _requirePermission(tokenId, RESET);
        _requireNotDisposed(tokenId);
        _certificates[tokenId].factoryResets++;
        emit FactoryReset(tokenId, msg.sender, resetAt, reason);
    }

    /// @notice Records an update over the air; only a succeeded one changes the device's firmware.
    function updateFirmware(
        uint256 tokenId,
        string calldata toVersion,
        bytes32 imageHash,
        uint8 result,
        uint64 appliedAt
    ) external {
        _requirePermission(tokenId, UPDATE_FIRMWARE);
        _requireNotDisposed(tokenId);
        Certificate storage certificate_ = _certificates[tokenId];
        string memory fromVersion = certificate_.firmware;
        certificate_.firmwareUpdates++;
        if (result == SUCCEEDED) certificate_.firmware = toVersion;
        emit FirmwareUpdated(tokenId, fromVersion, toVersion, imageHash, result, appliedAt);
    }

    /// @notice Records a step of the end of life, by the owner or the manufacturer. After DISPOSED there is none.
    function recordEndOfLife(uint256 tokenId, EndOfLifeStep calldata step) external {
        _requireToken(tokenId);
        Certificate storage certificate_ = _certificates[tokenId];
        if (msg.sender != _owners[tokenId] && msg.sender != _manufacturers[certificate_.manufacturerId].account) {
            revert NotPermitted(tokenId, msg.sender);
        }
        _requireNotDisposed(tokenId);
        if (step.process > certificate_.endOfLife && step.process <= DISPOSED) certificate_.endOfLife = step.process;
        emit EndOfLifeRecorded(
            tokenId,
            step.process,
            step.occurredAt,
            step.facility,
            step.sanitization,
            step.evidenceURI,
            step.evidenceHash
        );
    }

    // ------------------------------------------------------------------ getters

    function manufacturer(uint256 manufacturerId) external view returns (ManufacturerLicense memory) {
        return _manufacturers[manufacturerId];
    }

    /// @notice Answers the manufacturer of an account, 0 for none.
    function manufacturerOf(address account) external view returns (uint256) {
        return _manufacturerOf[account];
    }

    function isManufacturerLicensed(uint256 manufacturerId) public view returns (bool) {
        ManufacturerLicense storage license = _manufacturers[manufacturerId];
        return license.granted && !license.revoked && !_isPast(license.expiresAt);
    }

    function hardwareLicense(uint256 hardwareLicenseId) external view returns (HardwareLicense memory) {
        return _hardwareLicenses[hardwareLicenseId];
    }

    function isHardwareLicensed(uint256 hardwareLicenseId) public view returns (bool) {
        HardwareLicense storage license = _hardwareLicenses[hardwareLicenseId];
        return license.granted && !license.revoked && !_isPast(license.expiresAt);
    }

    /// @notice Answers a certificate as corrected; a burned one stays readable.
    function certificate(uint256 tokenId) external view returns (Certificate memory) {
        if (_certificates[tokenId].mintedAt == 0) revert NoSuchToken(tokenId);
        return _certificates[tokenId];
    }

    /// @notice Answers a free attribute, "" where it was never set.
    function attributeOf(uint256 tokenId, string calldata attribute) external view returns (string memory) {
        return _attributes[tokenId][attribute];
    }

    /// @notice Answers the unburned token of a device address, 0 for none.
    function tokenOf(address device) external view returns (uint256) {
        return _tokenOf[device];
    }

    /// @notice Answers the grant of a user, also when it has expired.
    function grantOf(uint256 tokenId, address user) external view returns (Grant memory) {
        return _grants[tokenId][user];
    }

    /// @notice Answers whether a user has access now; the owner always has. A burn, like any transfer, ends no grant.
    function isAuthorized(uint256 tokenId, address user) external view returns (bool) {
        if (user == address(0)) return false;
        Grant storage grant = _grants[tokenId][user];
        return user == _owners[tokenId] || (grant.open && !_isPast(grant.expiresAt));
    }

    /// @notice Answers the furthest end-of-life process, 0 while in service.
    function endOfLifeOf(uint256 tokenId) external view returns (uint8) {
        return _certificates[tokenId].endOfLife;
    }

    // ------------------------------------------------------------------ ERC-721

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == 0x01ffc9a7 // ERC-165
            || interfaceId == 0x80ac58cd // ERC-721
            || interfaceId == 0x5b5e139f; // ERC-721 Metadata
    }

    function balanceOf(address owner) external view returns (uint256) {
        if (owner == address(0)) revert ZeroAddress();
        return _balances[owner];
    }

    function ownerOf(uint256 tokenId) external view returns (address) {
        _requireToken(tokenId);
        return _owners[tokenId];
    }

    function tokenURI(uint256 tokenId) external view returns (string memory) {
        _requireToken(tokenId);
        return string.concat(_baseURI, _decimal(tokenId));
    }

    function getApproved(uint256 tokenId) external view returns (address) {
        _requireToken(tokenId);
        return _approved[tokenId];
    }

    function isApprovedForAll(address owner, address operator) external view returns (bool) {
        return _operators[owner][operator];
    }

    function approve(address approved, uint256 tokenId) external {
        _requireToken(tokenId);
        address owner = _owners[tokenId];
        if (msg.sender != owner && !_operators[owner][msg.sender]) revert NotApproved(tokenId, msg.sender);
        _approved[tokenId] = approved;
        emit Approval(owner, approved, tokenId);
    }

    function setApprovalForAll(address operator, bool approved) external {
        if (operator == address(0)) revert ZeroAddress();
        _operators[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }

    /// @notice Moves a certificate. Grants stay: the new owner revokes whom it does not trust.
    function transferFrom(address from, address to, uint256 tokenId) public {
        _requireApproved(tokenId);
        _requireNotDisposed(tokenId);
        if (from != _owners[tokenId]) revert NotOwner(tokenId, from);
        if (to == address(0)) revert ZeroAddress();
        _move(from, to, tokenId);
    }

    function safeTransferFrom(address from, address to, uint256 tokenId) external {
        safeTransferFrom(from, to, tokenId, "");
    }

    function safeTransferFrom(address from, address to, uint256 tokenId, bytes memory data) public {
        transferFrom(from, to, tokenId);
        if (to.code.length == 0) return;
        try ERC721Receiver(to).onERC721Received(msg.sender, from, tokenId, data) returns (bytes4 answer) {
            if (answer != ERC721Receiver.onERC721Received.selector) revert UnsafeRecipient(to);
        } catch {
            revert UnsafeRecipient(to);
        }
    }

    /// @notice Ends a certificate. Its record stays readable, its device address is free again, its serial number is not.
    function burn(uint256 tokenId) external {
        _requireApproved(tokenId);
        delete _tokenOf[_certificates[tokenId].device];
        _move(_owners[tokenId], address(0), tokenId);
    }

    // ------------------------------------------------------------------ how

    function _mint(uint256 manufacturerId, address owner, MintRequest calldata request)
        private
        returns (uint256 tokenId)
    {
        if (owner == address(0)) revert ZeroAddress();
        _requireHardwareLicensed(request.hardwareLicenseId, manufacturerId);
        _takeSerial(manufacturerId, request.serialNumber);
        tokenId = ++totalMinted;
        _takeDeviceAddress(request.device, tokenId);

        Certificate storage certificate_ = _certificates[tokenId];
        certificate_.device = request.device;
        certificate_.manufacturerId = manufacturerId;
        certificate_.hardwareLicenseId = request.hardwareLicenseId;
        certificate_.serialNumber = request.serialNumber;
        certificate_.imei = request.imei;
        certificate_.manufacturedAt = request.manufacturedAt;
        certificate_.initialFirmware = request.firmwareVersion;
        certificate_.firmware = request.firmwareVersion;
        certificate_.mintedAt = uint64(block.timestamp);

        _move(address(0), owner, tokenId);
        emit CertificateMinted(
            tokenId,
            request.device,
            manufacturerId,
            request.hardwareLicenseId,
            request.serialNumber,
            request.imei,
            request.manufacturedAt,
            request.firmwareVersion
        );
    }

    /// @dev Zero `from` mints, zero `to` burns.
    function _move(address from, address to, uint256 tokenId) private {
        if (from != address(0)) _balances[from]--;
        if (to != address(0)) _balances[to]++;
        delete _approved[tokenId];
        _owners[tokenId] = to;
        emit Transfer(from, to, tokenId);
    }

    function _takeSerial(uint256 manufacturerId, string calldata serialNumber) private {
        if (bytes(serialNumber).length == 0) return; // unset
        if (_serialTaken[manufacturerId][serialNumber]) revert SerialNumberTaken(manufacturerId, serialNumber);
        _serialTaken[manufacturerId][serialNumber] = true;
    }

    function _takeDeviceAddress(address device, uint256 tokenId) private {
        if (device == address(0)) revert ZeroAddress();
        if (_tokenOf[device] != 0) revert DeviceAddressTaken(device, _tokenOf[device]);
        _tokenOf[device] = tokenId;
    }

    function _requireLicensed(uint256 manufacturerId) private view {
        ManufacturerLicense storage license = _manufacturers[manufacturerId];
        if (!license.granted) revert NoManufacturerLicense(manufacturerId);
        if (license.account != msg.sender) revert NotManufacturer(manufacturerId, msg.sender);
        if (license.revoked) revert ManufacturerLicenseRevokedBefore(manufacturerId);
        if (_isPast(license.expiresAt)) revert ManufacturerLicenseExpired(manufacturerId, license.expiresAt);
    }

    function _requireHardwareLicensed(uint256 hardwareLicenseId, uint256 manufacturerId) private view {
        HardwareLicense storage license = _hardwareLicenses[hardwareLicenseId];
        if (!license.granted) revert NoHardwareLicense(hardwareLicenseId);
        if (license.manufacturerId != manufacturerId) {
            revert HardwareLicenseOfOtherManufacturer(hardwareLicenseId, license.manufacturerId);
        }
        if (license.revoked) revert HardwareLicenseRevokedBefore(hardwareLicenseId);
        if (_isPast(license.expiresAt)) revert HardwareLicenseExpired(hardwareLicenseId, license.expiresAt);
    }

    function _requireManufacturerOf(uint256 tokenId) private view {
        _requireToken(tokenId);
        _requireLicensed(_certificates[tokenId].manufacturerId);
    }

    function _requirePermission(uint256 tokenId, uint256 permission) private view {
        _requireToken(tokenId);
        if (msg.sender == _owners[tokenId]) return;
        Grant storage grant = _grants[tokenId][msg.sender];
        if (grant.open && !_isPast(grant.expiresAt) && grant.permissions & permission != 0) return;
        revert NotPermitted(tokenId, msg.sender);
    }

    function _requireApproved(uint256 tokenId) private view {
        _requireToken(tokenId);
        address owner = _owners[tokenId];
        if (msg.sender == owner || msg.sender == _approved[tokenId] || _operators[owner][msg.sender]) return;
        revert NotApproved(tokenId, msg.sender);
    }

    function _requireToken(uint256 tokenId) private view {
        if (_owners[tokenId] == address(0)) revert NoSuchToken(tokenId);
    }

    function _requireNotDisposed(uint256 tokenId) private view {
        if (_certificates[tokenId].endOfLife == DISPOSED) revert Disposed(tokenId);
    }

    function _isPast(uint64 expiresAt) private view returns (bool) {
        return expiresAt != 0 && block.timestamp >= expiresAt;
    }

    function _unixSeconds(string calldata value) private pure returns (uint64) {
        bytes calldata digits = bytes(value);
        if (digits.length == 0 || digits.length > 19) revert NotUnixSeconds(value); // 19 digits fit a uint64
        uint64 seconds_ = 0;
        for (uint256 i = 0; i < digits.length; i++) {
            uint8 digit = uint8(digits[i]);
            if (digit < 0x30 || digit > 0x39) revert NotUnixSeconds(value);
            seconds_ = seconds_ * 10 + (digit - 0x30);
        }
        return seconds_;
    }

    function _decimal(uint256 number) private pure returns (string memory) {
        if (number == 0) return "0";
        uint256 length = 0;
        for (uint256 rest = number; rest != 0; rest /= 10) length++;
        bytes memory digits = new bytes(length);
        for (; number != 0; number /= 10) digits[--length] = bytes1(uint8(0x30 + number % 10));
        return string(digits);
    }
}

interface ERC721Receiver {
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4);
}
