// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Certificates of another making: a device is known by its address, events hold structs, and texts are fixed bytes.
contract Passport {
    struct Unit {
        bytes32 serial;
        uint64 imei;
        uint40 made;
    }

    struct Release {
        string version;
        bytes32 image;
    }

    struct Update {
        address device;
        Release from;
        Release to;
        bool done;
    }

    event Enrolled(address indexed device, address indexed owner, Unit unit);
    event Handed(address indexed device, address from, address to);
    event Noted(address indexed device, bytes4 topic, bytes note);
    event Updated(Update update, string[] remarks);

    function enroll(address device, Unit calldata unit) external {
        emit Enrolled(device, msg.sender, unit);
        emit Handed(device, address(0), msg.sender);
    }

    function hand(address device, address to) external {
        emit Handed(device, msg.sender, to);
    }

    function note(address device, bytes4 topic, bytes calldata text) external {
        emit Noted(device, topic, text);
    }

    function update(Update calldata made, string[] calldata remarks) external {
        emit Updated(made, remarks);
    }
}
