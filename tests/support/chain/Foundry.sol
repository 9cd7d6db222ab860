// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Tokens of devices. What a token stands for is in the log of the foundry, in the same transaction.
contract Titles {
    event Issued(address indexed owner, uint256 id, string name);
    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    uint256 private last;

    function issue(address owner, string calldata name) external {
        last += 1;
        emit Transfer(address(0), owner, last);
        emit Issued(owner, last, name);
    }

    function hand(uint256 id, address to) external {
        emit Transfer(msg.sender, to, id);
    }
}

/// A plant certifies devices of its own. It has logs in the transaction of its creation.
contract Plant {
    event Made(uint256 indexed unit, string serial);
    event Tested(uint256 indexed unit, bool passed);

    constructor(string memory first) {
        emit Made(1, first);
    }

    function make(uint256 unit, string calldata serial) external {
        emit Made(unit, serial);
    }

    function test(uint256 unit, bool passed) external {
        emit Tested(unit, passed);
    }
}

/// Certificates of a third shape: the token and the address of a device are in two logs, and plants come later.
contract Foundry {
    event Enrolled(address indexed device, address owner, bytes32 document);
    event Opened(uint256 indexed number, Plant plant);

    uint256 private opened;

    Titles public titles = new Titles();

    function enroll(address[] calldata devices, string[] calldata names) external {
        for (uint256 i = 0; i < devices.length; i++) {
            titles.issue(msg.sender, names[i]);
            emit Enrolled(devices[i], msg.sender, keccak256(bytes(names[i])));
        }
    }

    function open(string calldata first) external {
        opened += 1;
        emit Opened(opened, new Plant(first));
    }

    function make(Plant plant, uint256 unit, string calldata serial) external {
        plant.make(unit, serial);
    }

    function test(Plant plant, uint256 unit, bool passed) external {
        plant.test(unit, passed);
    }
}
