// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Knows the terms of lots. What they are about is in the log of the depot, in the same transaction.
contract Office {
    struct Terms {
        uint16 maker;
        bytes32 name;
    }

    event Lot(uint64 indexed lot, Terms terms);

    function lot(uint64 number, uint16 maker, bytes32 name) external {
        emit Lot(number, Terms(maker, name));
    }
}

/// A plant certifies and checks many devices at once. It has logs in the transaction of its creation.
contract Plant {
    struct Unit {
        address unit;
        bytes32 serial;
        bytes4 revision;
    }

    event Made(Unit[] units);
    event Checked(uint8 stage, address[] units, bool[] passed);

    constructor(Unit[] memory units) {
        emit Made(units);
    }

    function make(Unit[] calldata units) external {
        emit Made(units);
    }

    function check(uint8 stage, address[] calldata units, bool[] calldata passed) external {
        emit Checked(stage, units, passed);
    }
}

/// Certificates that come in arrays, for devices that are known by their addresses.
contract Depot {
    event Certified(uint64 indexed lot, address[] units, bytes32[] serials);
    event Handed(address indexed from, address to, address[] units);
    event Opened(bytes2 indexed region, Plant plant);

    uint64 private lots;

    Office public office = new Office();

    function certify(uint16 maker, bytes32 name, address[] calldata units, bytes32[] calldata serials) external {
        lots += 1;
        emit Certified(lots, units, serials);
        office.lot(lots, maker, name);
    }

    function hand(address to, address[] calldata units) external {
        emit Handed(msg.sender, to, units);
    }

    function open(bytes2 region, Plant.Unit[] calldata units) external {
        emit Opened(region, new Plant(units));
    }

    function make(Plant plant, Plant.Unit[] calldata units) external {
        plant.make(units);
    }

    function check(Plant plant, uint8 stage, address[] calldata units, bool[] calldata passed) external {
        plant.check(stage, units, passed);
    }
}
