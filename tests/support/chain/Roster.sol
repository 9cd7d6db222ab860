// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Vehicles that devices are mounted in.
contract Fleet {
    event Vehicle(uint256 indexed id, address owner);

    function make(uint256 id, address owner) external {
        emit Vehicle(id, owner);
    }
}

/// Certificates with numbers, whose events name devices by their addresses. It refuses nothing.
contract Roster {
    event Issued(address indexed owner, uint256 id);
    event Enrolled(address indexed device, address owner);
    event Handed(uint256 indexed id, address from, address to);
    event Noted(address indexed device, string document);
    event Tested(address[] devices, bool[] passed);
    event Rekeyed(address indexed device, address successor);
    event Mounted(address indexed device, uint256 vehicle);
    event Removed(address indexed device);

    uint256 private last;

    Fleet public fleet = new Fleet();

    function enroll(address device) public {
        last += 1;
        emit Issued(msg.sender, last);
        emit Handed(last, address(0), msg.sender);
        emit Enrolled(device, msg.sender);
    }

    function enrollAndNote(address device, string calldata document) external {
        emit Noted(device, document);
        enroll(device);
        emit Noted(device, document);
    }

    /// A log about one certificate and one about a device that may have another.
    function handAndNote(uint256 id, address to, address device, string calldata document) external {
        emit Handed(id, msg.sender, to);
        emit Noted(device, document);
    }

    function note(address device, string calldata document) external {
        emit Noted(device, document);
    }

    function test(address[] calldata devices, bool[] calldata passed) external {
        emit Tested(devices, passed);
    }

    function rekey(address device, address successor) external {
        emit Rekeyed(device, successor);
    }

    function mount(address device, uint256 vehicle) external {
        fleet.make(vehicle, msg.sender);
        emit Mounted(device, vehicle);
    }

    function remove(address device) external {
        emit Removed(device);
    }
}
