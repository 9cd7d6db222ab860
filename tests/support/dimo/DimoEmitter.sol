// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The shapes that are emitted now.
interface Today {
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event PrivilegeSet(
        uint256 indexed tokenId, uint256 version, uint256 indexed privId, address indexed user, uint256 expires
    );
    event ManufacturerNodeMinted(string name, uint256 tokenId, address indexed owner);
    event ManufacturerAttributeSet(uint256 tokenId, string attribute, string info);
    event AftermarketDeviceNodeMinted(
        uint256 indexed manufacturerId, uint256 tokenId, address indexed aftermarketDeviceAddress, address indexed owner
    );
    event AftermarketDeviceAttributeSet(uint256 tokenId, string attribute, string info);
    event AftermarketDeviceAttributeAdded(string attribute);
    event AftermarketDeviceClaimed(uint256 aftermarketDeviceNode, address indexed owner);
    event AftermarketDeviceUnclaimed(uint256 indexed aftermarketDeviceNode);
    event AftermarketDeviceUnclaimed(uint256 indexed aftermarketDeviceNode, address indexed owner);
    event AftermarketDevicePaired(uint256 aftermarketDeviceNode, uint256 vehicleNode, address indexed owner);
    event AftermarketDeviceUnpaired(uint256 aftermarketDeviceNode, uint256 vehicleNode, address indexed owner);
    event AftermarketDeviceAddressReset(
        uint256 indexed manufacturerId, uint256 indexed tokenId, address indexed aftermarketDeviceAddress
    );
    event AftermarketDeviceNodeBurned(uint256 indexed tokenId, address indexed owner);
    event AftermarketDeviceTransferred(uint256 indexed node, address indexed oldOwner, address indexed newOwner);
    event BeneficiarySet(address indexed idProxyAddress, uint256 indexed nodeId, address indexed beneficiary);
    event VehicleNodeMinted(uint256 manufacturerNode, uint256 tokenId, address owner);
    event VehicleNodeMintedWithDeviceDefinition(
        uint256 indexed manufacturerId, uint256 indexed vehicleId, address indexed owner, string deviceDefinitionId
    );
    event VehicleNodeBurned(uint256 indexed vehicleNode, address indexed owner);
    event VehicleAttributeSet(uint256 tokenId, string attribute, string info);
    event DeviceDefinitionIdSet(uint256 indexed vehicleId, string ddId);
    event SyntheticDeviceNodeMinted(
        uint256 connectionId,
        uint256 syntheticDeviceNode,
        uint256 indexed vehicleNode,
        address indexed syntheticDeviceAddress,
        address indexed owner
    );
    event SyntheticDeviceNodeBurned(
        uint256 indexed syntheticDeviceNode, uint256 indexed vehicleNode, address indexed owner
    );
    event SyntheticDeviceAttributeSet(uint256 indexed tokenId, string attribute, string info);
    event PermissionsSet(
        address indexed asset,
        uint256 indexed tokenId,
        uint256 permissions,
        address indexed grantee,
        uint256 expiration,
        uint256 templateId,
        string source
    );
    event PermissionsRenounced(address indexed asset, uint256 indexed tokenId, address indexed grantee);
    event LicenseMinted(address indexed user, uint256 tokenId);
    event LicenseRevoked(uint256 tokenId);
}

/// The first shapes: no manufacturer in a mint, no name, other indexed parameters.
interface From2022 {
    event ManufacturerNodeMinted(uint256 tokenId, address indexed owner);
    event AftermarketDeviceNodeMinted(
        uint256 tokenId, address indexed aftermarketDeviceAddress, address indexed owner
    );
    event VehicleNodeMinted(uint256 tokenId, address owner);
    event PrivilegeSet(uint256 tokenId, uint256 version, uint256 privId, address indexed user, uint256 expires);
    event AftermarketDeviceUnpaired(
        uint256 indexed aftermarketDeviceNode, uint256 indexed vehicleNode, address indexed owner
    );
    event PermissionsSet(
        address indexed asset,
        uint256 indexed tokenId,
        uint256 permissions,
        address indexed grantee,
        uint256 expiration,
        string source
    );
}

/// An administrator's copies.
interface From2023 {
    event AftermarketDeviceUnclaimedDevAdmin(uint256 indexed aftermarketDeviceNode);
    event AftermarketDeviceUnpairedDevAdmin(
        uint256 indexed aftermarketDeviceNode, uint256 indexed vehicleNode, address indexed owner
    );
    event AftermarketDeviceTransferredDevAdmin(
        uint256 indexed aftermarketDeviceNode, address indexed oldOwner, address indexed newOwner
    );
    event AftermarketDeviceNodeBurnedDevAdmin(uint256 indexed tokenId, address indexed owner);
    event AftermarketDeviceAttributeSetDevAdmin(uint256 indexed tokenId, string attribute, string info);
    event VehicleNodeBurnedDevAdmin(uint256 indexed vehicleNode, address indexed owner);
    event VehicleAttributeSetDevAdmin(uint256 indexed tokenId, string attribute, string info);
    event SyntheticDeviceNodeBurnedDevAdmin(
        uint256 indexed syntheticDeviceNode, uint256 indexed vehicleNode, address indexed owner
    );
    event SyntheticDeviceAttributeSetDevAdmin(uint256 indexed tokenId, string attribute, string info);
}

/// Half a year of other indexed parameters.
interface From2025 {
    event AftermarketDeviceUnpaired(
        uint256 indexed aftermarketDeviceNode, uint256 indexed vehicleNode, address indexed owner
    );
    event AftermarketDeviceAttributeSet(uint256 indexed tokenId, string attribute, string info);
    event VehicleAttributeSet(uint256 indexed tokenId, string attribute, string info);
}

/// Emits what a contract of the network would, with no rule of its own; deployed once for each role.
///
/// Keeps just enough to answer what `certindex reconcile` asks. `play` makes several contracts speak in one transaction.
contract DimoEmitter {
    struct Line {
        DimoEmitter speaker;
        bytes words;
    }

    mapping(uint256 tokenId => address) private owners;
    mapping(uint256 tokenId => address) public getAftermarketDeviceAddressById;
    mapping(uint256 tokenId => bool) public isAftermarketDeviceClaimed;
    mapping(uint256 manufacturerId => string) public getManufacturerNameById;
    mapping(address idProxy => mapping(uint256 tokenId => uint256)) public getParentNode;

    error NoSuchToken(uint256 tokenId);

    function play(Line[] calldata lines) external {
        for (uint256 i = 0; i < lines.length; ++i) {
            (bool said,) = address(lines[i].speaker).call(lines[i].words);
            require(said, "a line was not said");
        }
    }

    // NFTs

    function transfer(address from, address to, uint256 tokenId) external {
        owners[tokenId] = to;
        emit Today.Transfer(from, to, tokenId);
    }

    function ownerOf(uint256 tokenId) external view returns (address owner) {
        owner = owners[tokenId];
        if (owner == address(0)) revert NoSuchToken(tokenId);
    }

    /// A contract that changes with no event, as none should.
    function forgetOwner(uint256 tokenId) external {
        delete owners[tokenId];
    }

    function setPrivilege(uint256 tokenId, uint256 version, uint256 privId, address user, uint256 expires) external {
        emit Today.PrivilegeSet(tokenId, version, privId, user, expires);
    }

    function setPrivilegeIn2022(uint256 tokenId, uint256 version, uint256 privId, address user, uint256 expires)
        external
    {
        emit From2022.PrivilegeSet(tokenId, version, privId, user, expires);
    }

    // Manufacturers, their licences

    function mintManufacturer(string calldata name, uint256 tokenId, address owner) external {
        getManufacturerNameById[tokenId] = name;
        emit Today.ManufacturerNodeMinted(name, tokenId, owner);
    }

    /// The name is kept, and not told.
    function mintManufacturerIn2022(string calldata name, uint256 tokenId, address owner) external {
        getManufacturerNameById[tokenId] = name;
        emit From2022.ManufacturerNodeMinted(tokenId, owner);
    }

    function setManufacturerAttribute(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit Today.ManufacturerAttributeSet(tokenId, attribute, info);
    }

    function mintLicense(address user, uint256 tokenId) external {
        emit Today.LicenseMinted(user, tokenId);
    }

    function revokeLicense(uint256 tokenId) external {
        emit Today.LicenseRevoked(tokenId);
    }

    // Devices. `idProxy` is the NFT contract that numbers them.

    function mintDevice(address idProxy, uint256 manufacturerId, uint256 tokenId, address device, address owner)
        external
    {
        _keep(idProxy, manufacturerId, tokenId, device);
        emit Today.AftermarketDeviceNodeMinted(manufacturerId, tokenId, device, owner);
    }

    /// The manufacturer is kept, and not told.
    function mintDeviceIn2022(address idProxy, uint256 manufacturerId, uint256 tokenId, address device, address owner)
        external
    {
        _keep(idProxy, manufacturerId, tokenId, device);
        emit From2022.AftermarketDeviceNodeMinted(tokenId, device, owner);
    }

    /// Two things that an administrator may do, of which no event tells.
    function changeManufacturer(address idProxy, uint256 tokenId, uint256 manufacturerId) external {
        getParentNode[idProxy][tokenId] = manufacturerId;
    }

    function renameManufacturer(uint256 manufacturerId, string calldata name) external {
        getManufacturerNameById[manufacturerId] = name;
    }

    function burnDevice(uint256 tokenId, address owner) external {
        _forget(tokenId);
        emit Today.AftermarketDeviceNodeBurned(tokenId, owner);
    }

    function burnDeviceIn2023(uint256 tokenId, address owner) external {
        _forget(tokenId);
        emit From2023.AftermarketDeviceNodeBurnedDevAdmin(tokenId, owner);
    }

    function setDeviceAttribute(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit Today.AftermarketDeviceAttributeSet(tokenId, attribute, info);
    }

    function setDeviceAttributeIn2023(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit From2023.AftermarketDeviceAttributeSetDevAdmin(tokenId, attribute, info);
    }

    function setDeviceAttributeIn2025(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit From2025.AftermarketDeviceAttributeSet(tokenId, attribute, info);
    }

    function addDeviceAttribute(string calldata attribute) external {
        emit Today.AftermarketDeviceAttributeAdded(attribute);
    }

    function resetDevice(uint256 manufacturerId, uint256 tokenId, address device) external {
        getAftermarketDeviceAddressById[tokenId] = device;
        emit Today.AftermarketDeviceAddressReset(manufacturerId, tokenId, device);
    }

    function claimDevice(uint256 tokenId, address owner) external {
        isAftermarketDeviceClaimed[tokenId] = true;
        emit Today.AftermarketDeviceClaimed(tokenId, owner);
    }

    function unclaimDevice(uint256 tokenId) external {
        isAftermarketDeviceClaimed[tokenId] = false;
        emit Today.AftermarketDeviceUnclaimed(tokenId);
    }

    function unclaimDeviceIn2023(uint256 tokenId) external {
        isAftermarketDeviceClaimed[tokenId] = false;
        emit From2023.AftermarketDeviceUnclaimedDevAdmin(tokenId);
    }

    function returnDevice(uint256 tokenId, address owner) external {
        isAftermarketDeviceClaimed[tokenId] = false;
        emit Today.AftermarketDeviceUnclaimed(tokenId, owner);
    }

    function pairDevice(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit Today.AftermarketDevicePaired(tokenId, vehicleId, owner);
    }

    function unpairDevice(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit Today.AftermarketDeviceUnpaired(tokenId, vehicleId, owner);
    }

    function unpairDeviceIn2022(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit From2022.AftermarketDeviceUnpaired(tokenId, vehicleId, owner);
    }

    function unpairDeviceIn2023(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit From2023.AftermarketDeviceUnpairedDevAdmin(tokenId, vehicleId, owner);
    }

    function unpairDeviceIn2025(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit From2025.AftermarketDeviceUnpaired(tokenId, vehicleId, owner);
    }

    function tellTransfer(uint256 tokenId, address from, address to) external {
        emit Today.AftermarketDeviceTransferred(tokenId, from, to);
    }

    function tellTransferIn2023(uint256 tokenId, address from, address to) external {
        emit From2023.AftermarketDeviceTransferredDevAdmin(tokenId, from, to);
    }

    function setBeneficiary(address idProxy, uint256 tokenId, address beneficiary) external {
        emit Today.BeneficiarySet(idProxy, tokenId, beneficiary);
    }

    // Vehicles

    function mintVehicle(uint256 manufacturerId, uint256 tokenId, address owner) external {
        emit Today.VehicleNodeMinted(manufacturerId, tokenId, owner);
    }

    function mintVehicleIn2022(uint256 tokenId, address owner) external {
        emit From2022.VehicleNodeMinted(tokenId, owner);
    }

    function defineVehicle(uint256 manufacturerId, uint256 tokenId, address owner, string calldata definition)
        external
    {
        emit Today.VehicleNodeMintedWithDeviceDefinition(manufacturerId, tokenId, owner, definition);
    }

    function setVehicleAttribute(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit Today.VehicleAttributeSet(tokenId, attribute, info);
    }

    function setVehicleAttributeIn2025(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit From2025.VehicleAttributeSet(tokenId, attribute, info);
    }

    function setVehicleAttributeIn2023(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit From2023.VehicleAttributeSetDevAdmin(tokenId, attribute, info);
    }

    function setVehicleDefinition(uint256 tokenId, string calldata definition) external {
        emit Today.DeviceDefinitionIdSet(tokenId, definition);
    }

    function burnVehicle(uint256 tokenId, address owner) external {
        emit Today.VehicleNodeBurned(tokenId, owner);
    }

    function burnVehicleIn2023(uint256 tokenId, address owner) external {
        emit From2023.VehicleNodeBurnedDevAdmin(tokenId, owner);
    }

    // Synthetic devices

    function mintSyntheticDevice(uint256 connection, uint256 tokenId, uint256 vehicleId, address device, address owner)
        external
    {
        emit Today.SyntheticDeviceNodeMinted(connection, tokenId, vehicleId, device, owner);
    }

    function burnSyntheticDevice(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit Today.SyntheticDeviceNodeBurned(tokenId, vehicleId, owner);
    }

    function burnSyntheticDeviceIn2023(uint256 tokenId, uint256 vehicleId, address owner) external {
        emit From2023.SyntheticDeviceNodeBurnedDevAdmin(tokenId, vehicleId, owner);
    }

    function setSyntheticDeviceAttribute(uint256 tokenId, string calldata attribute, string calldata info) external {
        emit Today.SyntheticDeviceAttributeSet(tokenId, attribute, info);
    }

    function setSyntheticDeviceAttributeIn2023(uint256 tokenId, string calldata attribute, string calldata info)
        external
    {
        emit From2023.SyntheticDeviceAttributeSetDevAdmin(tokenId, attribute, info);
    }

    // Grants

    function setPermissions(
        address asset,
        uint256 tokenId,
        uint256 permissions,
        address grantee,
        uint256 expiration,
        uint256 templateId,
        string calldata source
    ) external {
        emit Today.PermissionsSet(asset, tokenId, permissions, grantee, expiration, templateId, source);
    }

    function setPermissionsIn2022(
        address asset,
        uint256 tokenId,
        uint256 permissions,
        address grantee,
        uint256 expiration,
        string calldata source
    ) external {
        emit From2022.PermissionsSet(asset, tokenId, permissions, grantee, expiration, source);
    }

    function renouncePermissions(address asset, uint256 tokenId, address grantee) external {
        emit Today.PermissionsRenounced(asset, tokenId, grantee);
    }

    function _keep(address idProxy, uint256 manufacturerId, uint256 tokenId, address device) private {
        getParentNode[idProxy][tokenId] = manufacturerId;
        getAftermarketDeviceAddressById[tokenId] = device;
    }

    function _forget(uint256 tokenId) private {
        delete isAftermarketDeviceClaimed[tokenId];
        delete getAftermarketDeviceAddressById[tokenId];
    }
}
